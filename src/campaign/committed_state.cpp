#include "campaign/committed_state.h"

#include "checkpoint/checkpoint.h"
#include "core/error.h"

namespace nexus {
namespace {

// A job that is running may prune or replace a checkpoint after it was listed; that it does so again is no chance.
constexpr int kAttempts = 3;

std::string newest_listed(const RunFolder& run) {
  std::string path;
  for (const CheckpointEntry& entry : list_checkpoints(run))
    if (entry.problem.empty()) path = entry.path;
  return path;
}

}  // namespace

std::optional<TrainState> committed_state(const RunFolder& run) {
  for (int attempt = 1;; ++attempt) {
    const std::string path = newest_listed(run);
    if (path.empty()) return std::nullopt;
    try {
      return train_state_from_json(Checkpoint(path, /*verify_data=*/false).state(), path);
    } catch (const Error&) {
      if (attempt == kAttempts) throw;
    }
  }
}

}  // namespace nexus
