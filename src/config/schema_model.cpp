#include <fmt/ranges.h>

#include <set>

#include "config/schema_rows.h"
#include "model/workload.h"

namespace nexus {
namespace {

using CampaignRows = Table<CampaignSpec>;

template <typename Member>
auto model(Member ModelConfig::*member) {
  return at(&CampaignSpec::model, member);
}

// "belongs to arch transformer and to variant qkv of nexusformer", "belongs to workload text".
std::string owners_of(const std::string& name) {
  std::vector<std::string> owners;
  for (const Architecture* each : all_architectures()) {
    const ModelKey* key = each->find_key(name);
    if (key == nullptr) continue;
    if (key->only_with.word.empty())
      owners.insert(owners.begin(), "arch " + each->name());
    else
      owners.push_back(fmt::format("{} {} of {}", key->only_with.word, key->only_with.value, each->name()));
  }
  for (const Workload* each : all_workloads())
    for (const ModelKey& key : each->keys())
      if (key.name == name) owners.push_back("workload " + each->name());
  return fmt::format("belongs to {}", fmt::join(owners, " and to "));
}

std::string preset_text(const ModelKey& key) {
  return key.at_birth.empty() ? key.preset : "null";
}

// A key that is known by name, shown as the first of them has it; preset and choices are the
// model's own.
void add_own_key(CampaignRows& t, const ModelKey& key) {
  Field<CampaignSpec>& field = t.emplace_back("model." + key.name, kFixed);
  field.preset = preset_text(key);
  field.own_preset = [name = key.name](const CampaignSpec&, const ModelConfig& model) -> std::optional<std::string> {
    const ModelKey* own = model.find_key(name);
    return own == nullptr ? std::nullopt : std::optional(preset_text(*own));
  };
  field.example = key.example;
  field.comment = key.comment;
  if (key.is_flag()) {
    field.set = [name = key.name](CampaignSpec& spec, const Node& node, const std::string& path) {
      spec.model.words[name] = FlagType{}.text(FlagType{}.parse(node, path));
    };
  } else if (key.is_word()) {
    field.set = [name = key.name](CampaignSpec& spec, const Node& node, const std::string& path) {
      const std::vector<std::string>& choices = spec.model.find_key(name)->choices;
      spec.model.words[name] = choices[parse_choice(node, path, choices)];
    };
  } else {
    const CountType type = key.at_birth.empty() ? CountType{1, kMaxWidth} : CountType{1, kMaxWidth, "null"};
    field.set = [key, type](CampaignSpec& spec, const Node& node, const std::string& path) {
      spec.model.counts[key.name] = type.parse(node, path);
    };
    field.get = [key, type](const CampaignSpec& spec) -> std::optional<std::string> {
      return type.text(spec.model.count(key.name));
    };
  }
  if (key.is_word())
    field.get = [key](const CampaignSpec& spec) -> std::optional<std::string> {
      if (goes_without_saying(spec.model, key)) return std::nullopt;
      return spec.model.word(key.name);
    };
  field.misplaced = [name = key.name](const CampaignSpec&, const ModelConfig& model) -> std::string {
    const ModelKey* own = model.find_key(name);
    return own != nullptr && has_key(model, *own) ? "" : owners_of(name);
  };
}

// The keys that some of `owners` have, each once; of `wanted` ones.
template <typename Owner, typename Wanted>
void add_own_keys(CampaignRows& t, const std::vector<const Owner*>& owners, Wanted wanted) {
  std::set<std::string> added;
  for (const Owner* each : owners)
    for (const ModelKey& key : each->keys())
      if (wanted(key) && added.insert(key.name).second) add_own_key(t, key);
}

// What decides which keys belong comes first: rows are read in this order.
void add_kind(CampaignRows& t) {
  ChoiceType<std::string> arch, workload;
  for (const Architecture* each : all_architectures()) arch.choices.emplace_back(each->name(), each->name());
  for (const Workload* each : all_workloads()) workload.choices.emplace_back(each->name(), each->name());
  add(t, "model.arch", "nexusformer", arch, model(&ModelConfig::arch), kFixed, arch.describe());
  add(t, "model.workload", kDefaultWorkload, workload, model(&ModelConfig::workload), kFixed,
      "kind of data: " + workload.describe())
      .get = [](const CampaignSpec& spec) -> std::optional<std::string> {
    if (spec.model.workload == kDefaultWorkload) return std::nullopt;  // as where the key is not known
    return spec.model.workload;
  };
}

// Widths that every model has.
void add_shape(CampaignRows& t) {
  const CountType width{1, kMaxWidth};
  add(t, "model.D", "768", width, model(&ModelConfig::d), kFixed, "width of the residual stream");
  add(t, "model.L", "12", CountType{1, kMaxLayers}, model(&ModelConfig::layers), kFixed, "blocks");
  add(t, "model.H", "12", width, model(&ModelConfig::heads), kFixed, "attention heads; divides D");
  add(t, "model.kv_heads", "null", CountType{1, kMaxWidth, "null"}, model(&ModelConfig::kv_heads), kFixed,
      "heads of keys and values; divides H; null: as H");
}

void add_gelu(CampaignRows& t) {
  const ChoiceType<GeluKind> gelu{{{"erf", GeluKind::kErf}, {"tanh", GeluKind::kTanh}}};
  add(t, "model.gelu", "erf", gelu, model(&ModelConfig::gelu), kFixed, "exact GELU (erf) or its approximation (tanh)");
}

void add_rotation(CampaignRows& t) {
  add(t, "model.rope_theta", "10000", RealType{0, 1e12, true}, model(&ModelConfig::rope_theta), kFixed,
      "base of the rotary angles");
  add(t, "model.rotary_share", "1", RealType{0, 1, true}, model(&ModelConfig::rotary_share), kFixed,
      "share of a head that rotates; tokenformer: 0.25");
}

}  // namespace

void add_model_rows(CampaignRows& t) {
  add_kind(t);
  add_shape(t);
  add_own_keys(t, all_workloads(), [](const ModelKey& key) { return !key.is_word(); });
  add_own_keys(t, all_architectures(), [](const ModelKey&) { return true; });
  for (const ModelKey& key : common_keys()) add_own_key(t, key);
  add_gelu(t);
  add_own_keys(t, all_workloads(), [](const ModelKey& key) { return key.is_word(); });
  add_rotation(t);
}

}  // namespace nexus
