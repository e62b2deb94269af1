// Linear projections without bias: y_g = W_g x. Parameters `PREFIX.weight` [O, D] per group.
#pragma once

#include "layers/matrix.h"
#include "layers/projection.h"

namespace nexus {

class Linear : public Projection {
 public:
  // One group per prefix, of outs[g] outputs. Ranks split the outputs of kQkv and the inputs of kO.
  Linear(ParamTable& table, const std::vector<std::string>& prefixes, int64_t d, const std::vector<int64_t>& outs,
         Place place, const MatrixInit& init);

  int64_t out_width() const override { return matrix_.out_width(); }
  void forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) override;
  void backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx) override;

 private:
  StackedMatrix matrix_;
  Tensor x_;
};

}  // namespace nexus
