// Between the parameter store and checkpoint files. Tensor names in a checkpoint: master/NAME, moment1/NAME,
// moment2/NAME.
#pragma once

#include "checkpoint/checkpoint.h"
#include "params/param_store.h"
#include "train/train_state.h"

namespace nexus {

// Saves weights, moments and state; collective. Each rank writes its share of the rows of every tensor. A pinned
// checkpoint is never pruned.
SaveResult save_training(Communicator& dp, const RunFolder& run, const std::string& run_id, const ParamStore& params,
                         const TrainState& state, bool pinned = false);

// Fills the weights, and the moments if the store has any, from a checkpoint whose tensors must be exactly those of the
// store's table. Throws ErrorKind::kCheckpoint naming the tensor that is missing, extra or of another shape.
void load_training(const Checkpoint& checkpoint, ParamStore& params);

}  // namespace nexus
