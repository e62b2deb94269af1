// What may be changed in a run that has begun, by the tables of keys.
#include <fmt/format.h>

#include <algorithm>

#include "config/config.h"
#include "config/schema.h"
#include "core/error.h"
#include "core/units.h"

namespace nexus {
namespace {

constexpr char kOption[] = "--allow-schedule-change";

struct ClassedKey {
  std::string key;  // with N for the index of a list's item: "stages.N.lr.peak"
  KeyClass key_class;
};

template <typename Spec>
void add_items(const std::string& list, const Table<Spec>& table, std::vector<ClassedKey>& keys) {
  for (const Field<Spec>& field : table) keys.push_back({list + ".N." + field.key, field.key_class});
}

const std::vector<ClassedKey>& classed_keys() {
  static const std::vector<ClassedKey> all = [] {
    std::vector<ClassedKey> keys;
    for (const Field<CampaignSpec>& field : campaign_table()) {
      keys.push_back({field.key, field.key_class});
      if (field.list == ListKey::kDatasets) add_items(field.key, dataset_table(), keys);
      if (field.list == ListKey::kStages) add_items(field.key, stage_table(), keys);
    }
    return keys;
  }();
  return all;
}

// The key with N in the place of a whole number, which goes to `index`.
std::string without_index(const std::string& key, std::string& index) {
  for (const char* list : {"stages.", "data.train."}) {
    if (!key.starts_with(list)) continue;
    const size_t begin = std::string(list).size(), end = std::min(key.find('.', begin), key.size());
    index = key.substr(begin, end - begin);
    if (!index.empty() && index.size() < 5 && index.find_first_not_of("0123456789") == std::string::npos)
      return list + ("N" + key.substr(end));
  }
  index.clear();
  return key;
}

[[noreturn]] void refuse_unknown(const LoadedCampaign& campaign, const std::string& key) {
  std::vector<std::string> changeable = {"data.train", "data.valid", "tokenizer.path"};
  for (const Setting& setting : campaign.settings)
    if (setting.key_class == KeyClass::kSchedule) changeable.push_back(setting.key);
  const std::string close = nearest(key, changeable);
  throw Error(
      ErrorKind::kConfig, fmt::format("'{}' is no key of this campaign", key), kOption,
      close.empty() ? fmt::format("use one of {}", fmt::join(changeable, ", ")) : "did you mean " + close + "?");
}

}  // namespace

std::optional<KeyClass> class_of_key(const std::string& key) {
  std::string index;
  const std::string general = without_index(key, index);
  if (index.empty() && general.find(".N.") != std::string::npos) return std::nullopt;
  for (const ClassedKey& entry : classed_keys())
    if (entry.key == general) return entry.key_class;
  return std::nullopt;
}

void require_changeable(const LoadedCampaign& campaign, const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    const auto key_class = class_of_key(key);
    std::string index;
    const bool of_stage = without_index(key, index).starts_with("stages.") && !index.empty();
    if (!key_class || (of_stage && std::stoul(index) >= campaign.spec.stages.size())) refuse_unknown(campaign, key);
    const std::string fact = fmt::format("{} is of class {}", key, name_of(*key_class));
    switch (*key_class) {
      case KeyClass::kSchedule: break;
      case KeyClass::kData:
        if (key.starts_with("data.train."))
          throw Error(ErrorKind::kConfig, fact + " and may move without permission", kOption,
                      "name data.train to go on with other files");
        break;
      case KeyClass::kFixed:
      case KeyClass::kAccount:
        throw Error(ErrorKind::kConfig, fact + ", which no option can change in a run that has begun", kOption,
                    "leave the key as it was, or start a new run (another out); docs/configuration.md has the classes");
      case KeyClass::kPlacement:
      case KeyClass::kCosmetic:
        throw Error(ErrorKind::kConfig, fact + ", which may change without permission", kOption,
                    "leave the option out");
    }
  }
}

std::string key_classes_markdown() {
  std::string text = "| class | a change in a run that has begun | keys |\n|---|---|---|\n";
  for (const KeyClass key_class : kKeyClasses) {
    std::string keys;
    for (const ClassedKey& entry : classed_keys())
      if (entry.key_class == key_class) keys += (keys.empty() ? "`" : ", `") + entry.key + "`";
    text += fmt::format("| {} | {} | {} |\n", name_of(key_class), change_needs(key_class), keys);
  }
  return text;
}

}  // namespace nexus
