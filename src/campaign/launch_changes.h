// What a launch changes of the run that it continues, or of the checkpoint that it starts from: accepted, or refused.
#pragma once

#include <string>
#include <vector>

#include "campaign/campaign.h"
#include "campaign/next_action.h"
#include "data/data_identity.h"
#include "train/train_state.h"

namespace nexus {

// The changed settings, all of which --allow-schedule-change names; `state` is trained by the new ones from now on.
// Throws ErrorKind::kConfig where one is not named or can never change (campaign/changed_settings.h).
std::vector<FrozenChange> accept_settings(const CampaignInput& input, const LaunchOptions& launch, TrainState& state);

// The same for data: what this run has begun to read must still be what it was, wherever it lies. `index_digest`:
// Sampler::index_digest of this launch. Throws ErrorKind::kData.
std::vector<FrozenChange> accept_data(const CampaignSpec& spec, const LaunchOptions& launch,
                                      const std::string& index_digest, const DataIdentity& now, TrainState& state);

// Whether a new run may start from `ancestor`, the state of init_from's checkpoint: an embedding row means the piece
// that it was trained on, and a total of FLOPs adds no two definitions. `state` takes over a tokenizer that this launch
// does not name. Throws ErrorKind::kData or kConfig.
void accept_ancestor(const CampaignSpec& spec, const LaunchOptions& launch, const TrainState& ancestor,
                     TrainState& state);

}  // namespace nexus
