// The optimizer's operations, over flat buffers (parameters, gradients, moments: wide [n]).
#pragma once

#include <vector>

#include "backend/ops/operation.h"

namespace nexus {

// A rectangle of parameters that shares its update constants: element (i, j) lies at offset + i * row_stride + j of the
// flat parameter buffers. A tensor that never grew is one rectangle with rows = 1.
// Gradients and compute weights lie at `offset`, master weights and moments at `state_offset`: the two differ where the
// optimizer state is sharded (ZeRO-1).
struct UpdateBlock {
  int64_t offset = 0, state_offset = 0, rows = 1, cols = 0, row_stride = 0;
  double learning_rate = 0;
  double weight_decay = 0;
  int64_t step1 = 1, step2 = 1;  // updates seen by the first and the second moment, this one included (bias correction)
};

// Elements [begin, begin + count) of a flat buffer.
struct FlatRange {
  int64_t begin = 0, count = 0;
  bool operator==(const FlatRange&) const = default;
};

struct AdamW {
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double clip = 0;  // maximum global gradient norm; 0 is no clipping
};

}  // namespace nexus

namespace nexus::ops {

// out[0] = sum(x^2) over the ranges, f64 tensor of one element, 0 for no range. The bits depend on what is in the
// ranges and on their sizes only, not on where they lie in x; {a, b} gives the bits of {a} plus {b}.
struct SumSquares {
  Tensor x;
  std::vector<FlatRange> ranges;
  Tensor out;

  void check() const {
    check_float(x);
    NX_CHECK(out.dtype == DType::kF64 && out.count() == 1, "{} {}", name_of(out.dtype), out.shape.str());
    for (const FlatRange& range : ranges)
      NX_CHECK(range.begin >= 0 && range.count >= 0 && range.begin + range.count <= x.count(),
               "{} elements from {} of {}", range.count, range.begin, x.count());
  }
  Cost cost() const {
    double elements = 0;
    for (const FlatRange& range : ranges) elements += static_cast<double>(range.count);
    return {.family = "optimizer", .bytes = elements * static_cast<double>(size_of(x.dtype)) + bytes_of(out)};
  }
};

// AdamW with decoupled decay (Loshchilov and Hutter 2019) over the blocks. The gradient is first multiplied by
// min(1, clip / (sqrt(S) + 1e-6)), read on the device, where S is the sum of the f64 tensor `grad_sum_squares` [n] in
// index order. `compute`, if defined, receives the compute-type copy. `grad` and `compute` [n], moments and master
// [n_state]. Cutting a block in pieces or moving its state changes no bit of any element. `nonfinite`, if defined, an
// f64 tensor of one element, becomes 1 where a moment, master or compute value that was written is not finite;
// otherwise it stays what it was.
struct AdamWUpdate {
  AdamW options;
  std::vector<UpdateBlock> blocks;
  Tensor grad_sum_squares, grad, moment1, moment2, master, compute, nonfinite;

  // The type of what is written for the next forward pass.
  DType compute_type() const { return compute.defined() ? compute.dtype : master.dtype; }

  void check() const {
    const int64_t count = grad.count(), state_count = master.count();
    for (const Tensor* wide : {&grad, &moment1, &moment2, &master})
      NX_CHECK(wide->dtype == wide_of(master.dtype), "{} beside {}", name_of(wide->dtype), name_of(master.dtype));
    for (const Tensor* moment : {&moment1, &moment2})
      NX_CHECK(moment->count() == state_count, "{} for {} parameters", moment->shape.str(), state_count);
    if (compute.defined())
      NX_CHECK(compute.count() == count && wide_of(compute.dtype) == master.dtype, "{} {} for {} gradients",
               name_of(compute.dtype), compute.shape.str(), count);
    if (options.clip > 0)
      NX_CHECK(grad_sum_squares.defined() && grad_sum_squares.dtype == DType::kF64 && grad_sum_squares.count() > 0,
               "{} {} to clip by", name_of(grad_sum_squares.dtype), grad_sum_squares.shape.str());
    if (nonfinite.defined())
      NX_CHECK(nonfinite.dtype == DType::kF64 && nonfinite.count() == 1, "{} {} to tell of values that are not finite",
               name_of(nonfinite.dtype), nonfinite.shape.str());
    for (const UpdateBlock& block : blocks) check_block(block, count, state_count);
  }
  // The gradient is read, both moments and the master weight are updated, the compute copy is written.
  Cost cost() const {
    double elements = 0;
    for (const UpdateBlock& block : blocks) elements += static_cast<double>(block.rows * block.cols);
    const int64_t per_element = 7 * size_of(master.dtype) + (compute.defined() ? size_of(compute.dtype) : 0);
    return {.family = "optimizer", .bytes = elements * static_cast<double>(per_element) + bytes_of(grad_sum_squares)};
  }

 private:
  static void check_block(const UpdateBlock& block, int64_t count, int64_t state_count) {
    NX_CHECK(block.offset >= 0 && block.state_offset >= 0 && block.rows >= 0 && block.cols >= 0,
             "block of {} x {} at {}, its state at {}", block.rows, block.cols, block.offset, block.state_offset);
    NX_CHECK(block.rows <= 1 || block.row_stride >= block.cols, "rows of {} lie {} apart", block.cols,
             block.row_stride);
    const int64_t extent = block.rows == 0 ? 0 : (block.rows - 1) * block.row_stride + block.cols;
    NX_CHECK(block.offset + extent <= count, "a block ends at {} of {}", block.offset + extent, count);
    NX_CHECK(block.state_offset + extent <= state_count, "the state of a block ends at {} of {}",
             block.state_offset + extent, state_count);
    NX_CHECK(block.step1 >= 1 && block.step2 >= 1, "steps {} and {} count from 1", block.step1, block.step2);
  }
};

using Optimizers = List<SumSquares, AdamWUpdate>;

}  // namespace nexus::ops
