// RMS norm of q's or k's heads before they rotate (QK-norm, Henry et al. 2020), with a weight for every element of
// every head. Tensor-parallel ranks have the weights of their own heads, so nothing is summed over them.
#pragma once

#include <string>

#include "layers/context.h"

namespace nexus {

class HeadNormLayer {
 public:
  // Appends `weight_name` [heads * head_dim], ones, to the table; `heads` of the whole layer.
  HeadNormLayer(ParamTable& table, const std::string& weight_name, int64_t heads, int64_t head_dim);

  // Normalises this rank's heads in place: `x` begins inside packed rows whose tokens are `ld` elements apart.
  void forward(const LayerContext& ctx, const Tensor& x, int64_t ld);
  // dx, which lies as x does: from the gradient of the norm's output to that of its input.
  void backward(const LayerContext& ctx, const Tensor& dx, int64_t ld);

 private:
  HeadNorm options(int64_t ld) const;

  int64_t heads_, head_dim_;  // of this rank
  int weight_;
  Tensor kept_, stats_;  // of a training pass
};

}  // namespace nexus
