#include "accounting/flops.h"

#include "core/units.h"
#include "model/model.h"
#include "model/workload.h"

namespace nexus {
namespace {

// Elements of all matrices that multiply a token: everything but norms, and an embedding only where a tied head
// multiplies by it.
double gemm_elements(const ParamTable& table) {
  double elements = 0;
  for (const ParamSpec& spec : table)
    if (spec.axes.size() == 2) elements += static_cast<double>(spec.products * spec.count());
  return elements;
}

double non_embedding_elements(const ParamTable& table) {
  double elements = 0;
  for (const ParamSpec& spec : table)
    if (spec.part == ModelPart::kBody) elements += static_cast<double>(spec.count());
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
  const double pairs = workload(config.workload).mask() == AttentionMask::kCausal ? 2.0 : 4.0;
  switch (definition) {
    case FlopsDefinition::kGemmCausal: return 3.0 * (2.0 * gemm_elements(table) + pairs * tokens * width * layers);
    case FlopsDefinition::kPalm: return 6.0 * all + 12.0 * layers * width * tokens;
    case FlopsDefinition::k6N: return 6.0 * all;
    case FlopsDefinition::k6NNonEmbedding: return 6.0 * non_embedding_elements(table);
  }
  return 0;
}

}  // namespace nexus
