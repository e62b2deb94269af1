#include "layers/nexus_rank.h"

#include <cmath>

#include "layers/growth_mask.h"
#include "layers/tensor_parallel.h"

namespace nexus {
namespace {

using Prefixes = std::vector<std::string>;

// Sharding (docs/parallelism.md, How a model is cut): W_M and W_A by rows, W_D by columns, so a rank holds whole
// channels of A.
std::vector<ParamSpec> w_m_specs(const Prefixes& prefixes, const NexusRankOptions& o) {
  std::vector<ParamSpec> specs;
  for (const std::string& prefix : prefixes)
    specs.push_back(matrix_spec(prefix + ".w_m", producing(o.m, o.m_width), fixed_axis(o.d), 0, o.init.std(o.d)));
  return specs;
}

std::vector<ParamSpec> w_a_specs(const Prefixes& prefixes, const NexusRankOptions& o) {
  std::vector<ParamSpec> specs;
  for (const std::string& prefix : prefixes)
    specs.push_back(
        matrix_spec(prefix + ".w_a", producing(o.a, o.a_width), consuming(o.m, o.m_width), 0, o.init.std(o.m)));
  return specs;
}

std::vector<ParamSpec> w_d_specs(const Prefixes& prefixes, const NexusRankOptions& o) {
  NX_CHECK(prefixes.size() == o.outs.size(), "{} prefixes, {} outputs", prefixes.size(), o.outs.size());
  const double init_std = o.place == Place::kQkv ? o.init.std(o.a) : o.init.branch_end_std(o.a);
  std::vector<ParamSpec> specs;
  for (size_t g = 0; g < prefixes.size(); ++g)
    specs.push_back(matrix_spec(prefixes[g] + ".w_d", fixed_axis(o.outs[g]), consuming(o.a, o.a_width), 1, init_std));
  return specs;
}

NormGelu activation_of(const NexusRankOptions& o) {
  NormGelu op;
  op.norm = o.norm;
  op.gelu = o.gelu;
  for (const int64_t out : o.outs) op.scales.push_back(std::sqrt(static_cast<double>(out)));
  return op;
}

}  // namespace

NexusRank::NexusRank(ParamTable& table, const Prefixes& prefixes, const NexusRankOptions& options)
    : groups_(static_cast<int64_t>(prefixes.size())),
      m_whole_(options.m),
      m_(table.local(options.m)),
      a_(table.local(options.a)),
      m_width_(options.m_width),
      a_width_(options.a_width),
      activation_(activation_of(options)),
      w_m_(table, w_m_specs(prefixes, options)),
      w_a_(table, w_a_specs(prefixes, options)),
      w_d_(table, w_d_specs(prefixes, options)),
      edges_(table, options.place, options.d, options.outs) {}

NexusRank::Stage NexusRank::make_stage(const LayerContext& ctx, int64_t width) const {
  Stage stage{ctx.alloc({ctx.rows(), groups_, width}), {}, {}};
  if (activation_.norm != NormKind::kNone) stage.scale = ctx.alloc_wide({ctx.rows(), groups_});
  return stage;
}

NormGelu NexusRank::activation(const LayerContext& ctx, const Width& width) const {
  NormGelu op = activation_;
  const auto given = ctx.params.norm_scales().find(width);
  if (given != ctx.params.norm_scales().end())
    for (double& scale : op.scales) scale *= std::sqrt(given->second.squared());
  return op;
}

// a1 of this rank's channels, then of all.
Tensor NexusRank::activate_first(const LayerContext& ctx) const {
  const Tensor a = ctx.alloc({ctx.rows(), groups_, m_whole_});
  if (m_ == m_whole_) {
    norm_gelu_forward(ctx, activation(ctx, m_width_), stage1_.h, a, stage1_.scale);
    return a;
  }
  const Arena::Frame frame(ctx.arena);
  const Tensor mine = ctx.alloc(stage1_.h.shape);
  norm_gelu_forward(ctx, activation(ctx, m_width_), stage1_.h, mine, stage1_.scale);
  gather_columns(ctx, mine, std::vector<int64_t>(static_cast<size_t>(groups_), m_whole_), a);
  return a;
}

Tensor NexusRank::activate_second(const LayerContext& ctx) const {
  const Tensor a = ctx.alloc(stage2_.h.shape);
  norm_gelu_forward(ctx, activation(ctx, a_width_), stage2_.h, a, stage2_.scale);
  return a;
}

void NexusRank::forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) {
  const ForwardScope scope(ctx);
  x_ = edges_.whole_input(ctx, x);
  stage1_ = make_stage(ctx, m_);
  stage2_ = make_stage(ctx, a_);
  w_m_.forward(ctx, x_, stage1_.h.reshaped({ctx.rows(), groups_ * m_}));
  apply_growth_mask(ctx, m_width_, stage1_.h);
  {
    const ActivationScope activation(ctx);
    stage1_.a = activate_first(ctx);
    w_a_.forward(ctx, stage1_.a, stage2_.h);
    apply_growth_mask(ctx, a_width_, stage2_.h);
  }
  const ActivationScope activation(ctx);
  stage2_.a = activate_second(ctx);
  edges_.reduce_output(ctx, y, [&](const Tensor& partial) { w_d_.forward(ctx, stage2_.a, partial); });
}

// d1 = W_A^T d2, added up over the ranks.
void NexusRank::backward_middle(const LayerContext& ctx, const Tensor& d2, const Tensor& d1) const {
  const ActivationScope activation(ctx);
  const Tensor a = ctx.keeps_activations() ? stage1_.a : activate_first(ctx);
  if (m_ == m_whole_) return w_a_.backward(ctx, d2, a, d1);
  const Arena::Frame frame(ctx.arena);
  const Tensor partial = ctx.alloc(a.shape);
  w_a_.backward(ctx, d2, a, partial);
  reduce_scatter_columns(ctx, partial, std::vector<int64_t>(static_cast<size_t>(groups_), m_whole_), d1);
}

void NexusRank::backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx) {
  const Arena::Frame frame(ctx.arena);
  const Tensor d1 = ctx.alloc({ctx.rows(), groups_, m_});  // da1, then dh1 in its place
  const Tensor d2 = ctx.alloc({ctx.rows(), groups_, a_});  // da2, then dh2
  {
    const ActivationScope activation(ctx);
    const Tensor a = ctx.keeps_activations() ? stage2_.a : activate_second(ctx);
    w_d_.backward(ctx, edges_.whole_output_gradient(ctx, dy), a, d2);
  }
  norm_gelu_backward(ctx, activation(ctx, a_width_), d2, stage2_.h, stage2_.scale, d2);
  apply_growth_mask(ctx, a_width_, d2);
  backward_middle(ctx, d2, d1);
  norm_gelu_backward(ctx, activation(ctx, m_width_), d1, stage1_.h, stage1_.scale, d1);
  apply_growth_mask(ctx, m_width_, d1);
  edges_.reduce_input_gradient(ctx, dx, [&](const Tensor& out) {
    w_m_.backward(ctx, d1.reshaped({ctx.rows(), groups_ * m_}), x_, out);
  });
}

}  // namespace nexus
