// Which launch wrote a record: the generation of the run folder's lease, and the start of a Slurm job that it is.
#pragma once

#include <cstdint>
#include <string>

namespace nexus {

struct SlurmJob {
  std::string id;       // SLURM_JOB_ID; empty: not under Slurm
  int64_t restart = 0;  // SLURM_RESTART_COUNT: Slurm starts a requeued job under the same id again
  int64_t nodes = 1;
  explicit operator bool() const { return !id.empty(); }
  bool is_same_start(const SlurmJob& other) const { return id == other.id && restart == other.restart; }
};

struct LaunchMark {
  int64_t generation = 0;  // rows that an older launch writes later are not this run's
  SlurmJob job;
};

}  // namespace nexus
