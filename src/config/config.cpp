#include "config/config.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "config/config_file.h"
#include "config/read_spec.h"
#include "config/render.h"
#include "config/schema.h"
#include "config/validate.h"
#include "core/clean_text.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/json_text.h"

namespace nexus {
namespace {

constexpr char kReference[] = "configs/reference.yaml";

// Collects the settings of a spec by the tables, in their order.
class SettingWriter {
 public:
  SettingWriter(const CampaignSpec& spec, const Locations& locations) : spec_(spec), locations_(locations) {}

  std::vector<Setting> write() {
    write_map("", campaign_table(), spec_);
    return std::move(settings_);
  }

 private:
  template <typename Spec>
  void write_map(const std::string& prefix, const Table<Spec>& table, const Spec& spec) {
    for (const Field<Spec>& field : table) {
      const std::string key = prefix + field.key;
      if (field.list == ListKey::kDatasets) {
        write_list(key, dataset_table(), spec_.data.train);
      } else if (field.list == ListKey::kStages) {
        write_list(key, stage_table(), spec_.stages);
      } else if (!field.misplaced || field.misplaced(spec, spec_.model).empty()) {
        if (const auto value = field.get(spec))
          settings_.push_back({key, *value, locations_.source(key), field.key_class});
      }
    }
  }

  template <typename Spec>
  void write_list(const std::string& key, const Table<Spec>& table, const std::vector<Spec>& items) {
    for (size_t i = 0; i < items.size(); ++i) write_map(fmt::format("{}.{}.", key, i), table, items[i]);
  }

  const CampaignSpec& spec_;
  const Locations& locations_;
  std::vector<Setting> settings_;
};

std::vector<StageNumerics> numerics_of_stages(const LoadedCampaign& campaign) {
  std::vector<StageNumerics> stages(campaign.spec.stages.size());
  for (const Setting& setting : campaign.settings) {
    if (!is_numerics(setting.key_class)) continue;
    for (size_t i = 0; i < stages.size(); ++i)
      if (!setting.key.starts_with("stages.") || setting.key.starts_with(fmt::format("stages.{}.", i)))
        stages[i][setting.key] = setting.value;
  }
  return stages;
}

std::string render_settings(const LoadedCampaign& campaign, bool with_sources) {
  std::vector<YamlLine> lines;
  for (const Setting& setting : campaign.settings)
    lines.push_back({setting.key, setting.value, with_sources ? setting.source : ""});
  return render_yaml(lines);
}

LoadedCampaign load_tree(const Node& root) {
  if (root.kind != Node::Kind::kMap)
    refuse(root.location, "", fmt::format("the campaign is {}, not a map of keys", describe(root)),
           std::string("see ") + kReference + " for the keys");
  ReadSpec read = read_spec(root);
  LoadedCampaign campaign;
  campaign.spec = std::move(read.spec);
  campaign.warnings = validate(campaign.spec, read.locations);
  campaign.settings = SettingWriter(campaign.spec, read.locations).write();
  campaign.resolved_yaml = render_settings(campaign, false);
  campaign.digest = hash_text(campaign.resolved_yaml);
  campaign.stage_numerics = numerics_of_stages(campaign);
  return campaign;
}

}  // namespace

LoadedCampaign load_campaign(const std::string& file, const std::vector<std::string>& more_files,
                             const std::vector<std::string>& assignments, const std::optional<std::string>& out) {
  const std::string text = read_config_file(file);
  Node root = parse_config_file(text, file, kReference);
  for (const std::string& more : more_files) merge(root, parse_config_file(read_config_file(more), more, kReference));
  for (const std::string& assignment : assignments) assign(root, assignment);
  if (out) {
    int line = 0;
    if (const std::string bad = find_bad_character(*out, false, line); !bad.empty())
      throw Error(ErrorKind::kConfig, "the run folder's name holds " + bad, "--out " + *out, "choose another name");
    Node value;
    value.kind = Node::Kind::kScalar;
    value.scalar = *out;
    value.location.source = "command line";
    Node over;
    over.kind = Node::Kind::kMap;
    over.keys.push_back("out");
    over.children.push_back(std::move(value));
    merge(root, std::move(over));
  }
  LoadedCampaign campaign = load_tree(root);
  campaign.file_text = text;
  return campaign;
}

LoadedCampaign load_campaign_text(const std::string& text, const std::string& source) {
  LoadedCampaign campaign = load_tree(parse_yaml(text, source));
  campaign.file_text = text;
  return campaign;
}

std::string show_with_sources(const LoadedCampaign& campaign) {
  return render_settings(campaign, true);
}

std::string show_as_json(const LoadedCampaign& campaign) {
  nlohmann::ordered_json settings = nlohmann::ordered_json::array();
  for (const Setting& setting : campaign.settings) {
    // Values are JSON as well as YAML, but for plain words.
    auto value = nlohmann::ordered_json::parse(setting.value, nullptr, false);
    if (value.is_discarded()) value = setting.value;
    settings.push_back(
        {{"key", setting.key}, {"value", value}, {"source", setting.source}, {"class", name_of(setting.key_class)}});
  }
  const nlohmann::ordered_json document = {{"name", campaign.spec.name},
                                           {"digest", campaign.digest},
                                           {"settings", settings},
                                           {"warnings", campaign.warnings}};
  return json_text(document, 2);
}

}  // namespace nexus
