#include "campaign/next_action.h"

namespace nexus {
namespace {

// Where a training file lies. What it holds is compared instead (campaign/launch_data.h): files may move.
bool is_training_path(const std::string& key) {
  return key.starts_with("data.train.") && key.ends_with(".path");
}

}  // namespace

NextAction next_action(const CampaignSpec& spec, const std::optional<TrainState>& state) {
  if (!state) return {NextAction::Kind::kStart, 0};
  const auto stage = static_cast<size_t>(state->stage_index);
  if (stage >= spec.stages.size())
    throw Error(ErrorKind::kConfig,
                fmt::format("the run stands in stage {} ({}), but the campaign has only {} stages", stage,
                            state->stage(), spec.stages.size()),
                "stages", "put the finished stages back; new ones may only be appended");
  if (state->step < spec.steps_of_stage(stage) || state->eval_pending) return {NextAction::Kind::kTrain, stage};
  if (stage + 1 < spec.stages.size()) return {NextAction::Kind::kEnterStage, stage + 1};
  return {NextAction::Kind::kDone, stage};
}

std::vector<FrozenChange> frozen_changes(const CampaignSpec& spec,
                                         const std::vector<std::map<std::string, std::string>>& stage_numerics,
                                         const TrainState& state) {
  std::vector<FrozenChange> changes;
  for (size_t i = 0; i < state.stage_numerics.size(); ++i) {
    const std::string& name = state.stages[i].stage;
    if (i >= spec.stages.size()) {
      changes.push_back({"stages", fmt::format("stage {} is gone", name)});
      continue;
    }
    const auto &was = state.stage_numerics[i], &is = stage_numerics[i];
    for (const auto& [key, value] : was) {
      if (is_training_path(key)) continue;
      const auto found = is.find(key);
      if (found == is.end())
        changes.push_back({key, fmt::format("{}: {} was {}, is absent", name, key, value)});
      else if (found->second != value)
        changes.push_back({key, fmt::format("{}: {} was {}, is {}", name, key, value, found->second)});
    }
    for (const auto& [key, value] : is)
      if (!was.contains(key) && !is_training_path(key))
        changes.push_back({key, fmt::format("{}: {} was absent, is {}", name, key, value)});
  }
  return changes;
}

}  // namespace nexus
