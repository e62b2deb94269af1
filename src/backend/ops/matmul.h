// Matrix products.
#pragma once

#include "backend/mat.h"
#include "backend/ops/operation.h"

namespace nexus::ops {

// c = a b + beta c, beta 0 or 1. a and b have the compute type; c the compute type or wide.
struct MatMul {
  Mat a, b, c;
  float beta = 0;

  void check() const {
    for (const Mat* m : {&a, &b, &c})
      NX_CHECK(m->dtype != DType::kI32 && m->rows > 0 && m->cols > 0 && m->batch > 0 && m->ld >= m->cols &&
                   m->batch_stride >= 0,
               "{} {} x {}, leading dimension {}, {} times with stride {}", name_of(m->dtype), m->rows, m->cols, m->ld,
               m->batch, m->batch_stride);
    NX_CHECK(a.dtype == b.dtype && (c.dtype == a.dtype || c.dtype == wide_of(a.dtype)), "{} x {} to {}",
             name_of(a.dtype), name_of(b.dtype), name_of(c.dtype));
    NX_CHECK(a.logical_cols() == b.logical_rows() && a.logical_rows() == c.rows && b.logical_cols() == c.cols,
             "[{}, {}] x [{}, {}] to [{}, {}]", a.logical_rows(), a.logical_cols(), b.logical_rows(), b.logical_cols(),
             c.rows, c.cols);
    NX_CHECK(a.batch == b.batch && a.batch == c.batch, "batches of {}, {} and {}", a.batch, b.batch, c.batch);
    NX_CHECK(!c.transposed, "the result is stored as it lies: transpose a and b instead");
    c.check_apart();
    NX_CHECK(beta == 0 || beta == 1, "beta {}", beta);
  }
  // c moves once, or twice where it is added to. Layers add to weight gradients only.
  Cost cost() const {
    const bool adds = beta != 0;
    return {adds ? "wgrad" : "matmul",
            2.0 * static_cast<double>(c.batch * c.rows * c.cols) * static_cast<double>(a.logical_cols()),
            a.bytes() + b.bytes() + c.bytes() * (adds ? 2 : 1)};
  }
};

using Matrices = List<MatMul>;

}  // namespace nexus::ops
