#include "layers/nexus_rank.h"

#include <cmath>

namespace nexus {
namespace {

using Prefixes = std::vector<std::string>;

// Sharding (nexusformer.md section 6): W_M and W_A by rows, W_D by columns, so a rank holds whole channels of A.
std::vector<ParamSpec> w_m_specs(const Prefixes& prefixes, const NexusRankOptions& o) {
  std::vector<ParamSpec> specs;
  for (const std::string& prefix : prefixes)
    specs.push_back(matrix_spec(prefix + ".w_m", producing(o.m, Width::kM), fixed_axis(o.d), 0));
  return specs;
}

std::vector<ParamSpec> w_a_specs(const Prefixes& prefixes, const NexusRankOptions& o) {
  std::vector<ParamSpec> specs;
  for (const std::string& prefix : prefixes)
    specs.push_back(matrix_spec(prefix + ".w_a", producing(o.a, o.a_width), consuming(o.m, Width::kM), 0));
  return specs;
}

std::vector<ParamSpec> w_d_specs(const Prefixes& prefixes, const NexusRankOptions& o) {
  NX_CHECK(prefixes.size() == o.outs.size(), "{} prefixes, {} outputs", prefixes.size(), o.outs.size());
  std::vector<ParamSpec> specs;
  for (size_t g = 0; g < prefixes.size(); ++g)
    specs.push_back(matrix_spec(prefixes[g] + ".w_d", fixed_axis(o.outs[g]), consuming(o.a, o.a_width), 1));
  return specs;
}

NormGelu activation_of(const NexusRankOptions& o) {
  NormGelu op;
  op.norm = o.norm;
  op.gelu = o.gelu;
  for (const int64_t out : o.outs) op.scales.push_back(static_cast<float>(std::sqrt(static_cast<double>(out))));
  return op;
}

}  // namespace

NexusRank::NexusRank(ParamTable& table, const Prefixes& prefixes, const NexusRankOptions& options)
    : groups_(static_cast<int64_t>(prefixes.size())),
      m_(options.m),
      a_(options.a),
      activation_(activation_of(options)),
      w_m_(table, w_m_specs(prefixes, options)),
      w_a_(table, w_a_specs(prefixes, options)),
      w_d_(table, w_d_specs(prefixes, options)) {}

NexusRank::Stage NexusRank::make_stage(const LayerContext& ctx, int64_t width) const {
  Stage stage{ctx.alloc({ctx.rows(), groups_, width}), ctx.alloc({ctx.rows(), groups_, width}), {}};
  if (activation_.norm != NormKind::kNone) stage.scale = ctx.alloc_wide({ctx.rows(), groups_});
  return stage;
}

void NexusRank::forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) {
  const ForwardScope scope(ctx);
  x_ = x;
  stage1_ = make_stage(ctx, m_);
  stage2_ = make_stage(ctx, a_);
  w_m_.forward(ctx, x, stage1_.h.reshaped({ctx.rows(), groups_ * m_}));
  ctx.backend.norm_gelu_forward(activation_, stage1_.h, stage1_.a, stage1_.scale);
  w_a_.forward(ctx, stage1_.a, stage2_.h);
  ctx.backend.norm_gelu_forward(activation_, stage2_.h, stage2_.a, stage2_.scale);
  w_d_.forward(ctx, stage2_.a, y);
}

void NexusRank::backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx) {
  const Arena::Frame frame(ctx.arena);
  const Tensor d1 = ctx.alloc({ctx.rows(), groups_, m_});  // da1, then dh1 in its place
  const Tensor d2 = ctx.alloc({ctx.rows(), groups_, a_});  // da2, then dh2
  w_d_.backward(ctx, dy, stage2_.a, d2);
  ctx.backend.norm_gelu_backward(activation_, d2, stage2_.h, stage2_.scale, d2);
  w_a_.backward(ctx, d2, stage1_.a, d1);
  ctx.backend.norm_gelu_backward(activation_, d1, stage1_.h, stage1_.scale, d1);
  w_m_.backward(ctx, d1.reshaped({ctx.rows(), groups_ * m_}), x_, dx);
}

}  // namespace nexus
