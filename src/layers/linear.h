// Linear projections without bias: y_g = W_g x. Parameters `PREFIX.weight` [O, D] per group.
#pragma once

#include "layers/matrix.h"
#include "layers/projection.h"

namespace nexus {

class Linear : public Projection {
 public:
  // One group per prefix, of outs[g] outputs. `shard_axis` 0 splits outputs over ranks, 1 inputs.
  Linear(ParamTable& table, const std::vector<std::string>& prefixes, int64_t d, const std::vector<int64_t>& outs,
         int shard_axis);

  int64_t out_width() const override { return matrix_.out_width(); }
  void forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) override;
  void backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx) override;

 private:
  StackedMatrix matrix_;
  Tensor x_;
};

}  // namespace nexus
