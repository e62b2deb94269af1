#include "layers/head_norm.h"

namespace nexus {
namespace {

ParamSpec weight_spec(const std::string& name, int64_t width) {
  ParamSpec spec;
  spec.name = name;
  spec.axes = {Axis{width}};
  spec.init = Init::kOnes;
  spec.decay = false;
  spec.shard_axis = 0;
  return spec;
}

}  // namespace

HeadNormLayer::HeadNormLayer(ParamTable& table, const std::string& weight_name, int64_t heads, int64_t head_dim)
    : heads_(table.local(heads)), head_dim_(head_dim), weight_(table.add(weight_spec(weight_name, heads * head_dim))) {}

HeadNorm HeadNormLayer::options(int64_t ld) const {
  return {.heads = heads_, .head_dim = head_dim_, .ld = ld};
}

void HeadNormLayer::forward(const LayerContext& ctx, const Tensor& x, int64_t ld) {
  kept_ = stats_ = Tensor{};
  if (ctx.pass == Pass::kTraining) {
    kept_ = ctx.alloc({ctx.rows(), heads_ * head_dim_});
    stats_ = ctx.alloc_wide({ctx.rows(), heads_});
  }
  ctx.backend.run(ops::HeadNormForward{
      .options = options(ld), .x = x, .weight = ctx.params.weight(weight_), .kept = kept_, .stats = stats_});
}

void HeadNormLayer::backward(const LayerContext& ctx, const Tensor& dx, int64_t ld) {
  ctx.backend.run(ops::HeadNormBackward{.options = options(ld),
                                        .dx = dx,
                                        .x = kept_,
                                        .weight = ctx.params.weight(weight_),
                                        .stats = stats_,
                                        .dweight = ctx.params.grad(weight_)});
}

}  // namespace nexus
