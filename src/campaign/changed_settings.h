// What a launch changes of the settings that its run was trained with so far. Every change is carried out from the next
// step on, or refused; none is accepted that would do nothing.
#pragma once

#include <string>
#include <vector>

#include "spec/campaign_spec.h"
#include "spec/key_class.h"
#include "train/train_state.h"

namespace nexus {

struct SettingChange {
  std::string key;        // "stages.0.tokens"
  std::string text;       // "s0: stages.0.tokens was 25600, is 51200"
  std::string refusal;    // why no permission helps, and what to do; empty: it can be carried out if it is allowed
  std::string with = "";  // another key whose permission holds for this one: lr.schedule, which brings or takes lr.min
};

// The settings of a campaign that a run may be compared with.
struct CurrentSettings {
  const CampaignSpec& spec;
  const std::vector<StageNumerics>& stage_numerics;  // of every stage of `spec`
  const ClassOfKey& class_of;
};

// Settings of a finished stage are its own keys (stages.N....); those of the stage that the run stands in are also the
// keys that all stages share. Future stages may change freely.
std::vector<SettingChange> changed_settings(const CurrentSettings& now, const TrainState& state);

// The changes, all of which can be carried out and are among the `allowed` keys. Throws ErrorKind::kConfig naming the
// others, each with its cure.
std::vector<SettingChange> require_allowed_changes(const CurrentSettings& now, const TrainState& state,
                                                   const std::vector<std::string>& allowed);

// Writes into `state` what its stage is trained by from now on; finished stages keep what they were trained by.
void adopt_settings(const CurrentSettings& now, TrainState& state);

}  // namespace nexus
