#include "model/architecture.h"

#include <algorithm>
#include <optional>

#include "layers/linear.h"
#include "layers/mlp.h"
#include "model/workload.h"

namespace nexus {
namespace {

constexpr RowNorm kRmsNorm{RowNormKind::kRms, 1e-6};

std::optional<QkNorm> qk_norm(const ModelConfig& config, const std::string& layer, ParamTable& table) {
  if (config.word("qk_norm") == "none") return std::nullopt;
  const HeadNormLayer q(table, layer + ".attn.q_norm.weight", config.heads, config.head_dim());
  return QkNorm{q, HeadNormLayer(table, layer + ".attn.k_norm.weight", config.kv(), config.head_dim())};
}

}  // namespace

RowNormLayer Architecture::branch_norm(const ModelConfig& config, const std::string& weight_name,
                                       ParamTable& table) const {
  return RowNormLayer(table, weight_name, config.d, kRmsNorm);
}

RowNormLayer Architecture::final_norm(const ModelConfig& config, ParamTable& table) const {
  return RowNormLayer(table, "norm.weight", config.d, kRmsNorm);
}

const ModelKey* Architecture::find_key(const std::string& name) const {
  const auto found = std::find_if(keys().begin(), keys().end(), [&](const ModelKey& key) { return key.name == name; });
  return found == keys().end() ? nullptr : &*found;
}

Block make_block(const ModelConfig& config, int64_t layer, ParamTable& table) {
  const Architecture& arch = architecture(config.arch);
  const std::string name = fmt::format("layers.{}", layer);
  const Workload& kind = workload(config.workload);
  const SelfAttentionOptions heads{table.local(config.heads), table.local(config.kv()),
                                   config.head_dim(),         kind.has_positions() ? config.rotary_dim() : 0,
                                   config.rope_theta,         kind.mask()};
  // The order of these lines is the order of the table.
  const RowNormLayer attention_norm = arch.branch_norm(config, name + ".attn_norm.weight", table);
  MadeProjection qkv = arch.qkv(config, name, table);
  std::optional<QkNorm> norm = qk_norm(config, name, table);
  MadeProjection o = arch.o(config, name, table);
  const RowNormLayer mlp_norm = arch.branch_norm(config, name + ".mlp_norm.weight", table);
  MadeProjection mlp = arch.mlp(config, name, table);
  return Block(attention_norm, SelfAttention(heads, std::move(qkv), std::move(norm), std::move(o)), mlp_norm,
               std::move(mlp));
}

RowNormLayer make_final_norm(const ModelConfig& config, ParamTable& table) {
  return architecture(config.arch).final_norm(config, table);
}

MatrixInit matrix_init(const ModelConfig& config) {
  return {config.word("init") == "fan_in", config.layers};
}

std::vector<int64_t> qkv_outs(const ModelConfig& config) {
  const int64_t kv = config.kv() * config.head_dim();
  return {config.d, kv, kv};
}

std::vector<std::string> qkv_prefixes(const std::string& layer) {
  return {layer + ".attn.q", layer + ".attn.k", layer + ".attn.v"};
}

MadeProjection linear_qkv(const ModelConfig& config, const std::string& layer, ParamTable& table) {
  return std::make_unique<Linear>(table, qkv_prefixes(layer), config.d, qkv_outs(config), Place::kQkv,
                                  matrix_init(config));
}

MadeProjection linear_o(const ModelConfig& config, const std::string& layer, ParamTable& table) {
  return std::make_unique<Linear>(table, std::vector<std::string>{layer + ".attn.o"}, config.d,
                                  std::vector<int64_t>{config.d}, Place::kO, matrix_init(config));
}

MadeProjection gated_mlp(const ModelConfig& config, const std::string& layer, ParamTable& table) {
  const GateKind gate = config.word("mlp") == "swiglu" ? GateKind::kSwiGlu : GateKind::kGelu;
  return std::make_unique<Mlp>(table, layer + ".mlp", config.d, config.count("F"), gate, config.gelu,
                               matrix_init(config));
}

ModelKey f_key() {
  return {.name = "F", .comment = "outer width of the MLP", .preset = "2048", .cut = true};
}

ModelKey mlp_key() {
  return {.name = "mlp", .comment = "swiglu or gelu", .preset = "swiglu", .choices = {"swiglu", "gelu"}};
}

}  // namespace nexus
