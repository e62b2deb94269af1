#include "model/architectures.h"

#include <cmath>
#include <utility>

#include "layers/linear.h"
#include "layers/mlp.h"
#include "layers/nexus_rank.h"
#include "layers/pattention.h"

namespace nexus {
namespace {

using Prefixes = std::vector<std::string>;

constexpr RowNorm kRmsNorm{RowNormKind::kRms, 1e-6};
constexpr RowNorm kLayerNorm{RowNormKind::kLayer, 1e-5};  // the epsilon of the released Tokenformer

// o and the MLP are Nexus-Rank layers in the published code, plain ones in the abstract's variant.
bool has_nexus_mlp(const ModelConfig& c) {
  return c.arch == Arch::kNexusformer && c.variant == Variant::kFull;
}

using Made = std::unique_ptr<Projection>;

NexusRankOptions nexus_rank_options(const ModelConfig& c, Place place, std::vector<int64_t> outs) {
  return {c.d, c.m, c.a, Width::kA, std::move(outs), c.norm, c.gelu, place};
}

PattentionOptions pattention_options(const ModelConfig& c, Place place, Width tokens, int64_t scale,
                                     std::vector<int64_t> outs) {
  const double value_std = 2.0 / static_cast<double>(c.layers) / std::sqrt(static_cast<double>(c.d));
  return {c.d, c.width(tokens), tokens, scale, std::move(outs), c.gelu, value_std, place};
}

Made make_qkv(const ModelConfig& c, const std::string& layer, ParamTable& table) {
  const Prefixes prefixes = {layer + ".attn.q", layer + ".attn.k", layer + ".attn.v"};
  const int64_t kv = c.kv() * c.head_dim();
  const std::vector<int64_t> outs = {c.d, kv, kv};
  switch (c.arch) {
    case Arch::kNexusformer:
      return std::make_unique<NexusRank>(table, prefixes, nexus_rank_options(c, Place::kQkv, outs));
    case Arch::kTokenformer:
      return std::make_unique<Pattention>(table, prefixes,
                                          pattention_options(c, Place::kQkv, Width::kTokensQkv, c.scale_qkv, outs));
    case Arch::kTransformer: break;
  }
  return std::make_unique<Linear>(table, prefixes, c.d, outs, Place::kQkv);
}

Made make_o(const ModelConfig& c, const std::string& layer, ParamTable& table) {
  const Prefixes prefix = {layer + ".attn.o"};
  if (c.arch == Arch::kTokenformer)
    return std::make_unique<Pattention>(table, prefix,
                                        pattention_options(c, Place::kO, Width::kTokensProj, c.scale_proj, {c.d}));
  if (has_nexus_mlp(c)) return std::make_unique<NexusRank>(table, prefix, nexus_rank_options(c, Place::kO, {c.d}));
  return std::make_unique<Linear>(table, prefix, c.d, std::vector<int64_t>{c.d}, Place::kO);
}

Made make_mlp(const ModelConfig& c, const std::string& layer, ParamTable& table) {
  const std::string prefix = layer + ".mlp";
  if (c.arch == Arch::kTokenformer)
    return std::make_unique<Pattention>(table, Prefixes{prefix},
                                        pattention_options(c, Place::kMlp, Width::kTokensFfn, c.scale_ffn, {c.d}));
  if (!has_nexus_mlp(c)) return std::make_unique<Mlp>(table, prefix, c.d, c.f, c.mlp, c.gelu);
  // The published block's MLP: middle width M, outer width F, which never grows.
  NexusRankOptions options = nexus_rank_options(c, Place::kMlp, {c.d});
  options.a = c.f;
  options.a_width = Width::kFixed;
  return std::make_unique<NexusRank>(table, Prefixes{prefix}, options);
}

// Norms inside a Tokenformer's blocks have no weight.
RowNormLayer make_branch_norm(const ModelConfig& c, const std::string& weight_name, ParamTable& table) {
  if (c.arch == Arch::kTokenformer) return RowNormLayer(table, "", c.d, kLayerNorm);
  return RowNormLayer(table, weight_name, c.d, kRmsNorm);
}

}  // namespace

Block make_block(const ModelConfig& config, int64_t layer, ParamTable& table) {
  const std::string name = fmt::format("layers.{}", layer);
  const SelfAttentionOptions heads{table.local(config.heads), table.local(config.kv()), config.head_dim(),
                                   config.rotary_dim(), config.rope_theta};
  // The order of these lines is the order of the table.
  const RowNormLayer attention_norm = make_branch_norm(config, name + ".attn_norm.weight", table);
  Made qkv = make_qkv(config, name, table);
  Made o = make_o(config, name, table);
  const RowNormLayer mlp_norm = make_branch_norm(config, name + ".mlp_norm.weight", table);
  Made mlp = make_mlp(config, name, table);
  return Block(attention_norm, SelfAttention(heads, std::move(qkv), std::move(o)), mlp_norm, std::move(mlp));
}

RowNormLayer make_final_norm(const ModelConfig& config, ParamTable& table) {
  const RowNorm op = config.arch == Arch::kTokenformer ? kLayerNorm : kRmsNorm;
  return RowNormLayer(table, "norm.weight", config.d, op);
}

}  // namespace nexus
