#include "config/config.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "config/read_spec.h"
#include "config/render.h"
#include "config/schema.h"
#include "config/validate.h"
#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"

namespace nexus {
namespace {

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

std::vector<std::map<std::string, std::string>> numerics_of_stages(const LoadedCampaign& campaign) {
  std::vector<std::map<std::string, std::string>> stages(campaign.spec.stages.size());
  for (const Setting& setting : campaign.settings) {
    if (setting.key_class != KeyClass::kNumerics) continue;
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
           "see configs/reference.yaml for the keys");
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

std::string read_config_file(const std::string& path) {
  int line = 0;
  if (!find_bad_character(path, false, line).empty())
    throw Error(ErrorKind::kConfig, "the file's name holds a control or invisible character", "command line",
                "rename the file");
  if (!path_exists(path)) throw Error(ErrorKind::kConfig, "there is no such file", path, "correct the path");
  try {
    return read_text_file(path, static_cast<int64_t>(kMaxConfigBytes));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kData) throw;
    throw Error(ErrorKind::kConfig, error.fact(), error.where(), error.todo());
  }
}

// A file whose top level is a map, possibly empty.
Node parse_file(const std::string& text, const std::string& path) {
  Node root = parse_yaml(text, path);
  if (root.kind != Node::Kind::kMap)
    refuse({path, 0}, "", fmt::format("the file is {}, not a map of keys", describe(root)),
           "see configs/reference.yaml for the keys");
  return root;
}

// Builds reference.yaml from the tables.
class ReferenceWriter {
 public:
  std::string write() {
    write_map("", campaign_table(), CampaignSpec{}, all);
    return render_yaml(lines_);
  }

 private:
  static constexpr auto all = [](const auto&) { return true; };

  template <typename Spec, typename Wanted>
  void write_map(const std::string& prefix, const Table<Spec>& table, const Spec& spec, Wanted wanted) {
    for (const Field<Spec>& field : table) {
      const std::string key = prefix + field.key;
      if (field.list == ListKey::kDatasets) {
        write_map(key + ".0.", dataset_table(), DatasetRef{}, all);
      } else if (field.list == ListKey::kStages) {
        write_stages(key);
      } else if (wanted(field)) {
        const std::string reason = field.misplaced ? field.misplaced(spec, ModelConfig{}) : "";
        const std::string value = field.preset.empty() ? field.example : field.preset;
        lines_.push_back({key, value, field.comment + (reason.empty() ? "" : "; " + reason), !reason.empty()});
      }
    }
  }

  // The first stage shows all keys but those of growth; the second shows growth.
  void write_stages(const std::string& key) {
    const auto is_growth = [](const Field<StageSpec>& field) { return field.key.starts_with("grow."); };
    write_map(key + ".0.", stage_table(), StageSpec{}, [&](const auto& field) { return !is_growth(field); });
    const size_t second = lines_.size();
    write_map(key + ".1.", stage_table(), StageSpec{},
              [&](const auto& field) { return field.required() || is_growth(field); });
    lines_[second].value = "s1";  // names are unique
  }

  std::vector<YamlLine> lines_;
};

}  // namespace

LoadedCampaign load_campaign(const std::string& file, const std::vector<std::string>& more_files,
                             const std::vector<std::string>& assignments, const std::optional<std::string>& out) {
  const std::string text = read_config_file(file);
  Node root = parse_file(text, file);
  for (const std::string& more : more_files) merge(root, parse_file(read_config_file(more), more));
  for (const std::string& assignment : assignments) assign(root, assignment);
  if (out) {
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
  return document.dump(2);
}

std::string reference_yaml() {
  return "# Every key of a campaign file with its default and one comment. Printed by `nexus config reference`.\n"
         "# Numbers take units: K, M, B, T are powers of ten, Ki, Mi, Gi, Ti powers of two. Lengths and periods say "
         "their\n"
         "# unit: 1% (of the stage), 200 steps, 20M (tokens), 30s, 30min, 2h. Keys without a default show an "
         "example.\n" +
         ReferenceWriter().write();
}

}  // namespace nexus
