// Resuming: the checkpoint that a launch goes on from, whether it may, and its weights.
#pragma once

#include <optional>
#include <string>

#include "campaign/training.h"
#include "checkpoint/checkpoint.h"

namespace nexus {

// What --resume says: the newest checkpoint that verifies, none, or the one that it names, below the working directory
// or the run folder, with what has changed since then accepted (campaign/launch_changes.h) and recorded. Nothing: the
// run has no past. Collective. Throws ErrorKind::kCheckpoint where its checkpoints have vanished or are another run's,
// and ErrorKind::kConfig where there is none of the name.
std::optional<Training> resume_training(const LaunchContext& context);

// Every rank hashes its share of the files.
Checkpoint open_verified(Communicator& world, const std::string& path);

}  // namespace nexus
