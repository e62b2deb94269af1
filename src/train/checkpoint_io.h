// Between the parameter store and checkpoint files. Tensor names in a checkpoint: master/NAME, moment1/NAME,
// moment2/NAME.
//
// A checkpoint holds logical tensors, so any grid reads what any other wrote. Every element is written by the one rank
// that owns it (owned_pieces in params/partition.h), whether ZeRO-1 is on or off.
#pragma once

#include <memory>

#include "checkpoint/pending_save.h"
#include "comm/process_grid.h"
#include "params/param_store.h"
#include "train/train_state.h"

namespace nexus {

// Copies this rank's part of weights and moments and begins to write it while the caller goes on; `commit` of the
// result ends the save. Collective. A pinned checkpoint is never pruned. Throws ErrorKind::kDevice where replicas
// differ: ranks that drifted apart would be stitched into one checkpoint that verifies. Its commit throws kNumeric
// where a value is not finite: every later start would be lost. `generation`: see PendingSave.
std::unique_ptr<PendingSave> start_saving(ProcessGrid& grid, const RunFolder& run, const std::string& run_id,
                                          const ParamStore& params, const TrainState& state, bool pinned = false,
                                          int64_t generation = 0);

// The same, to its end.
SaveResult save_training(ProcessGrid& grid, const RunFolder& run, const std::string& run_id, const ParamStore& params,
                         const TrainState& state, bool pinned = false);

// Fills this rank's weights, and its moments if the store has any, from a checkpoint whose tensors must be exactly
// those of the store's table. Throws ErrorKind::kCheckpoint naming the tensor that is missing, extra or of another
// shape.
void load_training(const Checkpoint& checkpoint, ParamStore& params);

}  // namespace nexus
