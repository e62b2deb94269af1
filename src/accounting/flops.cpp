#include "accounting/flops.h"

#include "core/units.h"
#include "model/model.h"

namespace nexus {
namespace {

bool is_embedding(const ParamSpec& spec) {
  return spec.name == "embed.weight";
}
bool is_head(const ParamSpec& spec) {
  return spec.name == "head.weight";
}

// Elements of all matrices that multiply a token: everything but norms and the embedding, whose lookup costs nothing. A
// tied head multiplies by the embedding's matrix.
double gemm_elements(const ModelConfig& config, const ParamTable& table) {
  double elements = 0;
  for (const ParamSpec& spec : table)
    if (spec.axes.size() == 2 && !is_embedding(spec)) elements += static_cast<double>(spec.count());
  if (config.tie) elements += static_cast<double>(config.vocab * config.d);
  return elements;
}

double non_embedding_elements(const ParamTable& table) {
  double elements = 0;
  for (const ParamSpec& spec : table)
    if (!is_embedding(spec) && !is_head(spec)) elements += static_cast<double>(spec.count());
  return elements;
}

}  // namespace

const std::vector<std::string>& flops_definition_names() {
  static const std::vector<std::string> names{"gemm_causal", "palm", "6n", "6n_nonemb"};
  return names;
}

FlopsDefinition flops_definition(const std::string& name) {
  const auto& names = flops_definition_names();
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return static_cast<FlopsDefinition>(i);
  const std::string near = nearest(name, names);
  throw Error(ErrorKind::kConfig, fmt::format("unknown FLOPs definition '{}'", name), "account.flops_def",
              near.empty() ? "use gemm_causal, palm, 6n or 6n_nonemb" : "did you mean " + near + "?");
}

std::string name_of(FlopsDefinition definition) {
  return flops_definition_names()[static_cast<size_t>(definition)];
}

double training_flops_per_token(const ModelConfig& config, int64_t context, FlopsDefinition definition) {
  const Model model(config);
  const ParamTable& table = model.table();
  const auto tokens = static_cast<double>(context), layers = static_cast<double>(config.layers);
  const auto width = static_cast<double>(config.heads * config.head_dim());
  const auto all = static_cast<double>(table.count());
  switch (definition) {
    case FlopsDefinition::kGemmCausal:
      return 3.0 * (2.0 * gemm_elements(config, table) + 2.0 * tokens * width * layers);
    case FlopsDefinition::kPalm: return 6.0 * all + 12.0 * layers * width * tokens;
    case FlopsDefinition::k6N: return 6.0 * all;
    case FlopsDefinition::k6NNonEmbedding: return 6.0 * non_embedding_elements(table);
  }
  return 0;
}

}  // namespace nexus
