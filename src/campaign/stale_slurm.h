// Slurm's variables in the environment of a process that runs in no job: a shell in tmux or in a container outlives the
// allocation that it was started in, and its variables name a job that is over, or by now somebody else's.
#pragma once

#include <string>

#include "campaign/slurm_job.h"

namespace nexus {

// Why the job that the environment names is not one that this process can run in; "" where it can, or where nobody can
// tell: a controller that does not answer now is no reason to take a real job's limit and restarts away. `user`: this
// process's, or -1 where users have other numbers here (a container). `end`: SLURM_JOB_END_TIME, `now`: Unix seconds.
std::string why_stale(const SlurmJob& job, const QueueAnswer& answer, int64_t user, std::optional<int64_t> end,
                      int64_t now);

// Takes Slurm's variables, but its configuration, out of the environment where they are stale, with a warning. Before
// anything reads them, MPI included. One process asks Slurm: the first rank, as far as the launcher says.
void leave_out_stale_slurm();

}  // namespace nexus
