// Where a run stands by what it has committed, for tools that look at a run from outside.
#pragma once

#include <optional>

#include "core/run_folder.h"
#include "train/train_state.h"

namespace nexus {

// The state of the newest checkpoint whose manifest and state are good; nothing where there is none. Tensors are not
// hashed, so that a launch, which hashes them, may have to fall back further. Throws ErrorKind::kCheckpoint where this
// build does not understand the state.
std::optional<TrainState> committed_state(const RunFolder& run);

}  // namespace nexus
