// What a campaign does next, as a pure function of its specification and of where it stands.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "campaign/campaign_spec.h"
#include "train/train_state.h"

namespace nexus {

struct NextAction {
  enum class Kind {
    kStart,       // nothing is there: make the model of stage 0 (fresh, or from init_from's checkpoint)
    kTrain,       // steps of `stage`, or its last evaluation, are left
    kEnterStage,  // the stage before `stage` is complete: grow if `stage` says so, then train it
    kDone
  };
  Kind kind = Kind::kStart;
  size_t stage = 0;
};

NextAction next_action(const CampaignSpec& spec, const std::optional<TrainState>& state);

// Keys of finished or running stages whose values differ from those the checkpoint was trained with, one text each:
// "s0: optimizer.clip was 1.0, is 0.5". Past stages are frozen; future ones may change (interface.md section 2).
struct FrozenChange {
  std::string key;  // "stages.0.tokens"
  std::string text;
};
std::vector<FrozenChange> frozen_changes(const CampaignSpec& spec,
                                         const std::vector<std::map<std::string, std::string>>& stage_numerics,
                                         const TrainState& state);

}  // namespace nexus
