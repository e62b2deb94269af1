// Operations on elements, whatever they mean: fills, copies, sums.
#pragma once

#include "backend/mat.h"
#include "backend/ops/operation.h"

namespace nexus::ops {

struct Zero {
  Tensor x;

  void check() const {}
  Cost cost() const { return {.family = "memory", .bytes = bytes_of(x)}; }
};

// Converts between types.
struct Copy {
  Tensor from, to;

  void check() const {
    NX_CHECK(from.count() == to.count(), "{} to {}", from.shape.str(), to.shape.str());
    NX_CHECK((from.dtype != DType::kI32) == (to.dtype != DType::kI32), "{} to {}", name_of(from.dtype),
             name_of(to.dtype));
  }
  Cost cost() const { return {.family = "memory", .bytes = bytes_of(from, to)}; }
};

// y += x
struct Add {
  Tensor x, y;

  void check() const {
    check_float(x);
    check_float(y);
    NX_CHECK(x.count() == y.count(), "{} to {}", x.shape.str(), y.shape.str());
  }
  Cost cost() const { return {.family = "memory", .bytes = bytes_of(x, y, y)}; }
};

// total[0] += the sum of wide x, in f64 (total is f64 [1]); on the CPU in index order.
struct AddSum {
  Tensor x, total;

  void check() const {
    NX_CHECK(x.dtype == DType::kF32 || x.dtype == DType::kF64, "a sum of {}", name_of(x.dtype));
    check_is(total, DType::kF64, {1});
  }
  Cost cost() const { return {.family = "memory", .bytes = bytes_of(x, total, total)}; }
};

// Copies a (batched, strided) matrix into another of the same type, rows, cols and batch; neither is transposed. They
// may not overlap.
struct CopyMatrix {
  Mat from, to;

  void check() const {
    NX_CHECK(from.dtype == to.dtype && from.rows == to.rows && from.cols == to.cols && from.batch == to.batch,
             "{} times {} {} x {} to {} times {} {} x {}", from.batch, name_of(from.dtype), from.rows, from.cols,
             to.batch, name_of(to.dtype), to.rows, to.cols);
    for (const Mat* m : {&from, &to})
      NX_CHECK(m->rows >= 0 && m->cols >= 0 && m->batch >= 0 && m->ld >= m->cols && m->batch_stride >= 0,
               "{} x {}, leading dimension {}, {} times with stride {}", m->rows, m->cols, m->ld, m->batch,
               m->batch_stride);
    NX_CHECK(!from.transposed && !to.transposed, "a copy does not transpose");
    if (to.rows > 0) to.check_apart();
  }
  Cost cost() const { return {.family = "memory", .bytes = from.bytes() + to.bytes()}; }
};

// The columns [begin, width) of x, which is [..., width], times `factor`, in place.
struct ScaleColumns {
  Tensor x;
  int64_t begin = 0;
  double factor = 1;

  int64_t width() const { return x.shape[x.shape.rank() - 1]; }
  int64_t rows() const { return width() == 0 ? 0 : x.count() / width(); }
  void check() const {
    check_float(x);
    NX_CHECK(x.shape.rank() > 0 && begin >= 0 && begin <= width(), "columns from {} of {}", begin, x.shape.str());
  }
  Cost cost() const {
    return {.family = "memory", .bytes = 2.0 * static_cast<double>(rows() * (width() - begin) * size_of(x.dtype))};
  }
};

using Elementwise = List<Zero, Copy, Add, AddSum, CopyMatrix, ScaleColumns>;

}  // namespace nexus::ops
