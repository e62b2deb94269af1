// The transformer's MLP without biases.
//
//   SwiGLU   y = W_down (silu(W_gate x) * W_up x)    PREFIX.w_gate, w_up [F, D], w_down [D, F]   (Shazeer 2020)
//   GELU     y = W_down GELU(W_up x)                 PREFIX.w_up [F, D], w_down [D, F]
#pragma once

#include "layers/matrix.h"
#include "layers/projection.h"

namespace nexus {

class Mlp : public Projection {
 public:
  Mlp(ParamTable& table, const std::string& prefix, int64_t d, int64_t f, GateKind gate, GeluKind gelu,
      const MatrixInit& init);

  int64_t out_width() const override { return down_.out_width(); }
  void forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) override;
  void backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx) override;

 private:
  Tensor activate(const LayerContext& ctx) const;  // a, allocated in the current frame

  GateKind gate_;
  GeluKind gelu_;
  int64_t f_;  // of this rank: gate and up are split by rows, down by columns
  StackedMatrix up_, down_;
  Tensor x_, h_;  // input; [rows, 2F] gate then up ([rows, F] for GELU)
  Tensor a_;      // [rows, F]; for a backward pass whose context keeps activations
};

}  // namespace nexus
