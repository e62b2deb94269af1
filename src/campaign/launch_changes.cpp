#include "campaign/launch_changes.h"

#include <algorithm>

#include "campaign/changed_settings.h"
#include "campaign/launch_data.h"
#include "core/error.h"
#include "core/log.h"

namespace nexus {
namespace {

bool is_allowed(const LaunchOptions& launch, const std::string& key) {
  const auto& allowed = launch.allowed_changes;
  return std::find(allowed.begin(), allowed.end(), key) != allowed.end();
}

}  // namespace

std::vector<FrozenChange> accept_settings(const CampaignInput& input, const LaunchOptions& launch, TrainState& state) {
  const CurrentSettings now{input.spec, input.stage_numerics, input.class_of};
  const auto changes = require_allowed_changes(now, state, launch.allowed_changes);
  for (const std::string& key : launch.allowed_changes)
    if (input.class_of(key) == KeyClass::kSchedule &&
        std::none_of(changes.begin(), changes.end(), [&](const SettingChange& each) { return each.key == key; }))
      log("--allow-schedule-change {} | it has not changed", key);
  std::vector<FrozenChange> accepted;
  for (const SettingChange& change : changes) accepted.push_back({change.key, change.text});
  adopt_settings(now, state);
  state.flops_def = input.spec.account.flops_def;
  return accepted;
}

std::vector<FrozenChange> accept_data(const CampaignSpec& spec, const LaunchOptions& launch,
                                      const std::string& index_digest, const DataIdentity& now, TrainState& state) {
  std::vector<FrozenChange> accepted;
  bool new_build = false;  // whose validation file comes with the training files that were allowed
  for (const FrozenChange& change : data_changes(spec, state, index_digest, now)) {
    if (!is_allowed(launch, change.key) && !(new_build && change.key == "data.valid"))
      throw Error(ErrorKind::kData, change.text, spec.out,
                  fmt::format("put the old files back, or pass --allow-schedule-change {}", change.key));
    accepted.push_back(change);
    new_build = new_build || change.key == "data.train";
  }
  for (const char* key : {"data.train", "data.valid", "tokenizer.path"})
    if (is_allowed(launch, key) &&
        std::none_of(accepted.begin(), accepted.end(), [&](const FrozenChange& each) { return each.key == key; }))
      log("--allow-schedule-change {} | it has not changed", key);
  state.data_digest = index_digest;
  state.data = updated_identity(state.data, now);
  return accepted;
}

void accept_ancestor(const CampaignSpec& spec, const LaunchOptions& launch, const TrainState& ancestor,
                     TrainState& state) {
  std::string& tokenizer = state.data.tokenizer;
  if (!tokenizer.empty() && !ancestor.data.tokenizer.empty() && ancestor.data.tokenizer != tokenizer) {
    const std::string text = "the checkpoint was trained with another tokenizer";
    if (!is_allowed(launch, "tokenizer.path"))
      throw Error(ErrorKind::kData, text, spec.init_from,
                  "name data of its tokenizer, or pass --allow-schedule-change tokenizer.path");
    warn("{}, as allowed", text);
  }
  if (tokenizer.empty()) tokenizer = ancestor.data.tokenizer;
  const std::string& definition = spec.account.flops_def;
  if (ancestor.flops_def.empty())
    log("{} does not say by which definition its FLOPs are counted | taken for {}", spec.init_from, definition);
  else if (ancestor.flops_def != definition)
    throw Error(
        ErrorKind::kConfig,
        fmt::format("the checkpoint's FLOPs are counted by {}, the campaign's by {}", ancestor.flops_def, definition),
        spec.init_from, "set account.flops_def to " + ancestor.flops_def + ": a total adds no two definitions");
}

}  // namespace nexus
