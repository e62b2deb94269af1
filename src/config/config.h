// Campaign files: read, merged, checked and written out again. YAML stops here.
//
// Keys are those of configs/reference.yaml (docs/configuration.md explains the rules). Every mistake is
// ErrorKind::kConfig: "WHAT; campaign.yaml:12 key model.M; do THIS".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "spec/campaign_spec.h"
#include "spec/key_class.h"

namespace nexus {

// One key of the resolved configuration.
struct Setting {
  std::string key;     // "stages.1.grow.M"
  std::string value;   // canonical YAML (and JSON) text
  std::string source;  // "campaign.yaml:12", "default" or "command line"
  KeyClass key_class = KeyClass::kFixed;
};

struct LoadedCampaign {
  CampaignSpec spec;
  std::string file_text;              // of the campaign file, as it was read
  std::vector<Setting> settings;      // every key that has a meaning for this campaign, in the order of reference.yaml
  std::string resolved_yaml;          // the settings as a document, which loads to the same settings
  std::string digest;                 // of resolved_yaml
  std::vector<std::string> warnings;  // odd but possible; the caller prints them
  // Per stage all that determines its numbers: model, data, optimizer, seed, ..., and its own settings but not those of
  // other stages (campaign/changed_settings.h compares them with what a run was trained by).
  std::vector<StageNumerics> stage_numerics;
};

// Reads `file`, lays `more_files` upon it (maps merge, everything else replaces), then `assignments` (KEY=VALUE as
// given to -s), then `out` (--out).
LoadedCampaign load_campaign(const std::string& file, const std::vector<std::string>& more_files = {},
                             const std::vector<std::string>& assignments = {},
                             const std::optional<std::string>& out = std::nullopt);

// The same for one document in memory; `source` names it in messages.
LoadedCampaign load_campaign_text(const std::string& text, const std::string& source);

// The resolved document with the source of each value as a comment.
std::string show_with_sources(const LoadedCampaign& campaign);
// {"name", "digest", "settings": [{"key", "value", "source", "class"}], "warnings"}
std::string show_as_json(const LoadedCampaign& campaign);

// configs/reference.yaml: every key with its default and one comment.
std::string reference_yaml();

// The class of a full key, with an index in the place of a list's item: "stages.1.lr.peak".
std::optional<KeyClass> class_of_key(const std::string& key);
// The table of classes in docs/configuration.md.
std::string key_classes_markdown();
// Refuses keys of --allow-schedule-change that are unknown or name no stage of the campaign (with the nearest that is),
// and those of other classes than schedule and data: they need no permission, or none helps.
void require_changeable(const LoadedCampaign& campaign, const std::vector<std::string>& keys);

}  // namespace nexus
