#include "layers/pattention.h"

#include <cmath>

#include "layers/growth_mask.h"
#include "layers/tensor_parallel.h"

namespace nexus {
namespace {

std::vector<ParamSpec> key_specs(const std::vector<std::string>& prefixes, const PattentionOptions& o) {
  std::vector<ParamSpec> specs;
  for (const std::string& prefix : prefixes)
    specs.push_back(matrix_spec(prefix + ".key", producing(o.tokens, o.tokens_width), fixed_axis(o.d), 0, o.key_std));
  return specs;
}

std::vector<ParamSpec> value_specs(const std::vector<std::string>& prefixes, const PattentionOptions& o) {
  NX_CHECK(prefixes.size() == o.outs.size(), "{} prefixes, {} outputs", prefixes.size(), o.outs.size());
  std::vector<ParamSpec> specs;
  for (size_t g = 0; g < prefixes.size(); ++g)
    specs.push_back(matrix_spec(prefixes[g] + ".value", consuming(o.tokens, o.tokens_width), fixed_axis(o.outs[g]), 0,
                                o.value_std));
  return specs;
}

NormGelu activation_of(size_t groups, const PattentionOptions& o) {
  NormGelu op;
  op.norm = NormKind::kL2;
  op.gelu = o.gelu;
  op.eps = 0;
  op.scales.assign(groups, std::sqrt(static_cast<double>(o.scale_tokens)));
  return op;
}

}  // namespace

Pattention::Pattention(ParamTable& table, const std::vector<std::string>& prefixes, const PattentionOptions& options)
    : groups_(static_cast<int64_t>(prefixes.size())),
      tokens_(table.local(options.tokens)),
      tokens_width_(options.tokens_width),
      activation_(activation_of(prefixes.size(), options)),
      key_(table, key_specs(prefixes, options)),
      value_(table, value_specs(prefixes, options), GroupedMatrix::Layout::kInOut),
      edges_(table, options.place, options.d, options.outs) {}

Tensor Pattention::activate(const LayerContext& ctx) const {
  const Tensor a = ctx.alloc(s_.shape);
  norm_gelu_forward(ctx, activation_, s_, a, scale_);
  return a;
}

void Pattention::forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) {
  const ForwardScope scope(ctx);
  x_ = edges_.whole_input(ctx, x);
  s_ = ctx.alloc({ctx.rows(), groups_, tokens_});
  scale_ = ctx.alloc_wide({ctx.rows(), groups_});
  key_.forward(ctx, x_, s_.reshaped({ctx.rows(), groups_ * tokens_}));
  apply_growth_mask(ctx, tokens_width_, s_);
  const ActivationScope activation(ctx);
  a_ = activate(ctx);
  edges_.reduce_output(ctx, y, [&](const Tensor& partial) { value_.forward(ctx, a_, partial); });
}

void Pattention::backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx) {
  const Arena::Frame frame(ctx.arena);
  const Tensor ds = ctx.alloc({ctx.rows(), groups_, tokens_});  // da, then ds in its place
  {
    const ActivationScope activation(ctx);
    const Tensor a = ctx.keeps_activations() ? a_ : activate(ctx);
    value_.backward(ctx, edges_.whole_output_gradient(ctx, dy), a, ds);
  }
  norm_gelu_backward(ctx, activation_, ds, s_, scale_, ds);
  apply_growth_mask(ctx, tokens_width_, ds);
  edges_.reduce_input_gradient(ctx, dx, [&](const Tensor& out) {
    key_.backward(ctx, ds.reshaped({ctx.rows(), groups_ * tokens_}), x_, out);
  });
}

}  // namespace nexus
