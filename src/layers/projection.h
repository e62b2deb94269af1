// Projection: whatever maps rows of width D to rows of one or several outputs, packed side by side. The places of a
// block that differ between architectures (q/k/v, o, MLP) are projections; see nexus_rank.h, linear.h, mlp.h,
// pattention.h.
//
// A projection of several groups (q, k, v) reads one input and writes y [rows, O_1 + ... + O_G].
//
// Over p tensor-parallel ranks there are three places, which differ in what a rank holds (docs/parallelism.md):
//   kQkv   x whole; y: this rank's heads, [rows, (O_1 + ... + O_G) / p]     dy likewise; dx a partial sum
//   kO     x: this rank's heads, [rows, D / p]; y a partial sum             dy whole; dx: this rank's heads
//   kMlp   x whole; y a partial sum                                        dy whole; dx a partial sum
// The caller adds partial sums up over the ranks (layers/tensor_parallel.h).
#pragma once

#include "layers/context.h"

namespace nexus {

enum class Place { kQkv, kO, kMlp };

class Projection {
 public:
  virtual ~Projection() = default;
  virtual int64_t out_width() const = 0;  // of y on this rank
  // x [rows, D] must stay as it is until backward (training pass).
  virtual void forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) = 0;
  // Gradients of the last forward: adds the weights' to the store and writes dx [rows, D].
  virtual void backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx) = 0;
};

}  // namespace nexus
