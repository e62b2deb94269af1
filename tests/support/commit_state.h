// Commits checkpoints of one small tensor, with a trainer's state or any other.
#pragma once

#include <string>

#include "checkpoint/checkpoint.h"
#include "train/train_state.h"

namespace nexus {

// Returns the checkpoint's path.
inline std::string commit_small(const std::string& run, const std::string& stage, int64_t step,
                                const nlohmann::json& state) {
  const float weight = 1;
  const auto alone = make_self_communicator();
  return save_checkpoint(*alone, RunFolder{run}, {"run", stage, step},
                         {{"master/w", DType::kF32, {1}, {0, 1, 0, 1}, &weight}}, state)
      .path;
}

// Stages are named s0, s1, ...; returns the checkpoint's path.
inline std::string commit_state(const std::string& run, int64_t stage, int64_t step, bool eval_pending = false) {
  TrainState state;
  state.stage_index = stage;
  state.step = step;
  state.eval_pending = eval_pending;
  state.model.validate();
  state.generations.resize(1);
  for (int64_t i = 0; i <= stage; ++i) state.stages.push_back({fmt::format("s{}", i)});
  state.stage_numerics.resize(state.stages.size());
  return commit_small(run, state.stage(), step, to_json(state));
}

}  // namespace nexus
