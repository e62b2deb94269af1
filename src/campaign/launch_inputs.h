// What a launch reads before its first step: data sets, tokenizer, ancestor.
#pragma once

#include "campaign/data_review.h"
#include "campaign/launch_data.h"
#include "campaign/task_evaluation.h"
#include "checkpoint/checkpoint.h"
#include "comm/communicator.h"
#include "model/workload.h"
#include "spec/campaign_spec.h"
#include "train/train_state.h"

namespace nexus {

// The campaign's data, opened, and its tasks. Collective; `spec` must outlive it.
struct LaunchInputs {
  RunData data;
  LaunchData files;
  TaskEvaluation tasks;
  LaunchInputs(const CampaignSpec& spec, const std::vector<TaskSpec>& tasks, Communicator& world);
  LaunchInputs(const LaunchInputs&) = delete;
  LaunchInputs& operator=(const LaunchInputs&) = delete;
};

// The checkpoint that the run starts from: what `init_from` names, or, where that is a run folder, the last one of that
// run. Empty where there is no init_from. Throws ErrorKind::kConfig where that run is not done. A run that has begun
// needs it no more: where it is gone, the answer is what the run has recorded.
std::string ancestor_checkpoint(const CampaignSpec& spec);

// State of the checkpoint that `init_from` names. Throws ErrorKind::kConfig where its model is not the campaign's.
TrainState ancestor_state(const CampaignSpec& spec, const Checkpoint& checkpoint);

// For those who ask beforehand (train --dry-run): opens the data, and what init_from and tokenizer.path name, and
// throws what the launch would throw. Collective. Reads no tensors and no samples. What the launch would say of the
// data, complete on rank 0.
DataReview require_inputs(const CampaignSpec& spec, const std::vector<TaskSpec>& tasks, Communicator& world);

}  // namespace nexus
