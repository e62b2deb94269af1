// The Slurm job that this process runs in: who it is, and how long it may go on (docs/slurm.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "records/launch_mark.h"

namespace nexus {

// Of this process's environment.
SlurmJob slurm_job();

// What `squeue` says of a job, by the number that it alone has: that of a task, where it is one of an array.
struct QueueAnswer {
  enum class Kind {
    kLives,      // it runs, waits or ends
    kOver,       // it has ended, and is remembered
    kNoSuchJob,  // it ended long ago, or never was
    kSilent,     // the controller cannot be reached, or nothing was understood
    kNoSlurm     // there is no squeue on this machine
  };
  Kind kind = Kind::kSilent;
  std::string state;                   // Slurm's long name
  int64_t user = -1;                   // whose it is
  std::optional<double> seconds_left;  // until its time limit, which can be changed; infinite: it has none
};
QueueAnswer ask_queue(const SlurmJob& job);

// Of Slurm's long names of states.
bool has_ended(std::string_view state);

// Seconds until SLURM_JOB_END_TIME, by the wall clock: what the limit was when the job began, for want of an answer of
// Slurm itself. Nothing, with a warning, where that is no time to come: while the job runs, its limit has been changed.
std::optional<double> stated_seconds_left();

// "1-02:03:04", "03:04", "UNLIMITED", "INVALID": what squeue prints for %L. Nothing where it is no time.
std::optional<double> parse_slurm_time(std::string_view text);

// Why this process must not go on alone: Slurm started it as one of several tasks, and MPI has not made one world of
// them (srun without a PMI that the MPI library speaks). Empty if all is well. `ranks`: of MPI's world.
std::string singleton_trouble(int ranks);

}  // namespace nexus
