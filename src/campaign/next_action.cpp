#include "campaign/next_action.h"

namespace nexus {

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

}  // namespace nexus
