#include "spec/campaign_spec.h"

#include <algorithm>
#include <cmath>

#include "growth/grow.h"

namespace nexus {

int64_t Span::steps(int64_t total_steps, int64_t step_tokens) const {
  double steps = value;
  if (unit == Unit::kTokens) steps = value / static_cast<double>(step_tokens);
  if (unit == Unit::kShare) steps = value * static_cast<double>(total_steps);
  // A share such as 1 % is not exact in binary: 0.01 * 300 must be 3 steps, not 4.
  return std::min(total_steps, static_cast<int64_t>(std::ceil(steps - 1e-9 * std::max(1.0, steps))));
}

ModelConfig CampaignSpec::model_of_stage(size_t index) const {
  NX_CHECK(index < stages.size());
  ModelConfig config = model;
  config.validate();
  for (size_t i = 0; i <= index; ++i)
    if (stages[i].grow.grows()) config = grown_config(config, stages[i].grow);
  return config;
}

int64_t CampaignSpec::steps_of_stage(size_t index) const {
  const int64_t tokens = stages.at(index).tokens;
  return (tokens + batch.global_tokens - 1) / batch.global_tokens;
}

Schedule CampaignSpec::schedule_of_stage(size_t index) const {
  const LearningRateSpec& lr = stages.at(index).lr;
  Schedule schedule;
  schedule.kind = lr.kind;
  schedule.peak = lr.peak;
  schedule.min = lr.min;
  schedule.total_steps = steps_of_stage(index);
  schedule.warmup_steps = lr.warmup.steps(schedule.total_steps, batch.global_tokens);
  if (lr.kind == ScheduleKind::kWsd)
    schedule.decay_steps = std::min(lr.decay.steps(schedule.total_steps, batch.global_tokens),
                                    schedule.total_steps - schedule.warmup_steps);
  return schedule;
}

void CampaignSpec::check_tensor_parallel(int tp) const {
  if (tp == 1) return;
  for (size_t stage = 0; stage < stages.size(); ++stage) model_of_stage(stage).check_tensor_parallel(tp);
  check_sequence_cut(tp);
}

void CampaignSpec::check_sequence_cut(int tp) const {
  if (parallel.sequence && data.context % tp != 0)
    throw Error(ErrorKind::kConfig,
                fmt::format("data.context = {} does not divide by parallel.tp = {}, and parallel.sequence splits it",
                            data.context, tp),
                "data.context", "choose another context, or set parallel.sequence to false");
}

}  // namespace nexus
