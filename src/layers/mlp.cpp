#include "layers/mlp.h"

namespace nexus {
namespace {

std::vector<ParamSpec> up_specs(const std::string& prefix, int64_t d, int64_t f, GateKind gate,
                                const MatrixInit& init) {
  std::vector<ParamSpec> specs;
  if (gate == GateKind::kSwiGlu)
    specs.push_back(matrix_spec(prefix + ".w_gate", fixed_axis(f), fixed_axis(d), 0, init.std(d)));
  specs.push_back(matrix_spec(prefix + ".w_up", fixed_axis(f), fixed_axis(d), 0, init.std(d)));
  return specs;
}

}  // namespace

Mlp::Mlp(ParamTable& table, const std::string& prefix, int64_t d, int64_t f, GateKind gate, GeluKind gelu,
         const MatrixInit& init)
    : gate_(gate),
      gelu_(gelu),
      f_(table.local(f)),
      up_(table, up_specs(prefix, d, f, gate, init)),
      down_(table, {matrix_spec(prefix + ".w_down", fixed_axis(d), fixed_axis(f), 1, init.branch_end_std(f))}) {}

Tensor Mlp::activate(const LayerContext& ctx) const {
  const Tensor a = ctx.alloc({ctx.rows(), f_});
  ctx.backend.run(ops::GateForward{.gate = gate_, .gelu = gelu_, .h = h_, .a = a});
  return a;
}

void Mlp::forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) {
  const ForwardScope scope(ctx);
  x_ = x;
  h_ = ctx.alloc({ctx.rows(), up_.out_width()});
  up_.forward(ctx, x, h_);
  const ActivationScope activation(ctx);
  a_ = activate(ctx);
  down_.forward(ctx, a_, y);
}

void Mlp::backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx) {
  const Arena::Frame frame(ctx.arena);
  const Tensor da = ctx.alloc({ctx.rows(), f_});
  const Tensor dh = ctx.alloc({ctx.rows(), up_.out_width()});
  {
    const ActivationScope activation(ctx);
    down_.backward(ctx, dy, ctx.keeps_activations() ? a_ : activate(ctx), da);
  }
  ctx.backend.run(ops::GateBackward{.gate = gate_, .gelu = gelu_, .da = da, .h = h_, .dh = dh});
  up_.backward(ctx, dh, x_, dx);
}

}  // namespace nexus
