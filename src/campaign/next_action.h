// What a campaign does next, as a pure function of its specification and of where it stands.
#pragma once

#include <optional>
#include <string>

#include "spec/campaign_spec.h"
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

// A change of what a run was trained with that a launch may allow.
struct FrozenChange {
  std::string key;  // "stages.0.tokens"
  std::string text;
};

}  // namespace nexus
