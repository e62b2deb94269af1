// Failed starts: restarts of one Slurm job in a row that have committed nothing, whether they did not get as far as
// opening the run, opened it and ended before a commit, or left nothing that can be read. The one count of them: a
// launch refuses to be one more (slurm.max_idle_starts), and a job's end does not queue it again (slurm/job_end.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "records/lease_record.h"

namespace nexus {

// Those before the start `job`, by the run's leases; 0 without a job. `found`: sequence of the newest checkpoint that
// this start sees. A start has committed if it says so itself, or if a later one found a newer checkpoint than it had.
// Sequences alone would not do: where the newest checkpoint is set aside as damaged, they go back, and the next commit
// has the same number again. Several launches within one restart (somebody at a shell in an allocation, a script that
// tries again) are one start, and those of this one are not over. Where another job has worked on the run in between,
// the count begins anew.
int64_t failed_starts(const std::vector<LeaseRecord>& leases, const SlurmJob& job, int64_t found);

// The same where the run folder cannot be read: the job's comment keeps the count, "nexus:0123:s0/failed-7-2" after
// restart 7, when two had failed. 0 where it says nothing of the start before `restart`: starts whose leases can be
// read leave it as it is.
int64_t failed_starts_noted(const std::string& comment, int64_t restart);
std::string comment_with_failed_starts(const std::string& comment, int64_t restart, int64_t failed);

}  // namespace nexus
