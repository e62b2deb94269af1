// Projection: whatever maps rows of width D to rows of one or several outputs, packed side by side. The places of a
// block that differ between architectures (q/k/v, o, MLP) are projections; see nexus_rank.h, linear.h, mlp.h,
// pattention.h.
//
// A projection of several groups (q, k, v) reads one input and writes y [rows, O_1 + ... + O_G].
#pragma once

#include "layers/context.h"

namespace nexus {

class Projection {
 public:
  virtual ~Projection() = default;
  virtual int64_t out_width() const = 0;
  // x [rows, D] must stay as it is until backward (training pass).
  virtual void forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) = 0;
  // Gradients of the last forward: adds the weights' to the store and writes dx [rows, D].
  virtual void backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx) = 0;
};

}  // namespace nexus
