// What a campaign's first launch reads before its first step, for those who ask beforehand (train --dry-run).
#pragma once

#include "campaign/data_review.h"
#include "checkpoint/checkpoint.h"
#include "comm/communicator.h"
#include "spec/campaign_spec.h"
#include "train/train_state.h"

namespace nexus {

// State of the checkpoint that `init_from` names. Throws ErrorKind::kConfig where its model is not the campaign's.
TrainState ancestor_state(const CampaignSpec& spec, const Checkpoint& checkpoint);

// Opens the data, and what init_from and tokenizer.path name, and throws what the launch would throw. Collective. Reads
// no tensors and no tokens. What the launch would say of the data, complete on rank 0.
DataReview require_inputs(const CampaignSpec& spec, Communicator& world);

}  // namespace nexus
