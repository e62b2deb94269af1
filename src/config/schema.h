// The one table of configuration keys. It drives reading, unknown-key detection, the resolved document, reference.yaml
// and the comparison of numerics: a key exists if and only if it has a row here.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.h"
#include "config/yaml_tree.h"
#include "model/architecture.h"
#include "spec/campaign_spec.h"
#include "spec/cluster_spec.h"

namespace nexus {

// Lists of maps, each with a table of its own.
enum class ListKey { kNone, kDatasets, kStages };

// One row. `Spec` is what the keys of this table describe: the campaign, one of its stages or datasets, or a cluster.
template <typename Spec>
struct Field {
  // No row without a class.
  Field(std::string name, KeyClass of_change) : key(std::move(name)), key_class(of_change) {}

  std::string key;  // dotted, relative to the map that the table describes: "lr.peak"
  KeyClass key_class;
  std::string preset;   // YAML text used where the key is absent; empty: the key must be given
  std::string example;  // what reference.yaml shows where there is no preset
  std::string comment;
  bool optional = false;  // absent means absent: there is no preset, and the key need not be given
  ListKey list = ListKey::kNone;
  // Reads a value; refuses with file, line and key.
  std::function<void(Spec&, const Node&, const std::string& key)> set;
  // Canonical text of the value; nothing if there is none (an optional key that was not given).
  std::function<std::optional<std::string>(const Spec&)> get;
  // Why the key has no meaning here ("belongs to arch tokenformer"); empty if it has.
  std::function<std::string(const Spec&, const ModelConfig&)> misplaced;

  bool required() const { return preset.empty() && !optional; }
  // Presets that depend on the keys above it or on the model, unless its architecture has one; `preset` where there is
  // none.
  std::function<std::optional<std::string>(const Spec&, const ModelConfig&)> own_preset;
  std::string preset_for(const Spec& spec, const ModelConfig& model) const {
    const auto presets = architecture(model.arch).presets();
    if (const auto own = presets.find(key); own != presets.end()) return own->second;
    return (own_preset ? own_preset(spec, model) : std::nullopt).value_or(preset);
  }
};

template <typename Spec>
using Table = std::vector<Field<Spec>>;

const Table<CampaignSpec>& campaign_table();
const Table<StageSpec>& stage_table();
const Table<DatasetRef>& dataset_table();
const Table<ClusterSpec>& cluster_table();

}  // namespace nexus
