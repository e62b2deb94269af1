// The Slurm job that this process runs in: who it is, and how long it may go on (docs/slurm.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nexus {

struct SlurmJob {
  std::string id;       // SLURM_JOB_ID; empty: not under Slurm
  int64_t restart = 0;  // SLURM_RESTART_COUNT: Slurm starts a requeued job under the same id again
  int64_t nodes = 1;
  explicit operator bool() const { return !id.empty(); }
};

// Of this process's environment.
SlurmJob slurm_job();

// Seconds until the job's time limit, as Slurm says it now (limits can be changed): asks `squeue`, then
// SLURM_JOB_END_TIME. Infinite: there is no limit. Nothing: nobody answers.
std::optional<double> slurm_seconds_left(const SlurmJob& job);

// "1-02:03:04", "03:04", "UNLIMITED", "INVALID": what squeue prints for %L. Nothing where it is no time.
std::optional<double> parse_slurm_time(std::string_view text);

// Why this process must not go on alone: Slurm started it as one of several tasks, and MPI has not made one world of
// them (srun without a PMI that the MPI library speaks). Empty if all is well. `ranks`: of MPI's world.
std::string singleton_trouble(int ranks);

}  // namespace nexus
