// What a job does when its ranks have left: queued again, finished, given up or left alone. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "records/status_record.h"

namespace nexus {

struct JobEndFacts {
  int code = 0;                        // of srun or mpirun
  StatusRecord status;                 // of whatever start
  SlurmJob job;                        // this start
  std::optional<LaunchEnd> lease_end;  // what the newest lease of this start says, where it could be read
  int64_t max_requeues = 0;
  // Whether this start has opened the run. Nothing: the leases could not be read, and only STATUS may say so.
  std::optional<bool> opened = true;
  int64_t failed_before = 0;       // failed starts in a row before this one (campaign/failed_starts.h)
  bool replaced = false;           // another start or job has owned the run since this start opened it
  std::string state, reason;       // of the job, as the queue says; empty: not known
  std::vector<std::string> nodes;  // of the job
  // Nodes besides the job's that are like them, work, and may be given to it. Nothing: not known.
  std::optional<int64_t> spare_nodes;
};

enum class JobEndAction {
  kFinish,   // the stage is done: the next job may begin
  kRequeue,  // the same job again
  kGiveUp,   // never again: cancel what waits for it
  kLeave     // somebody else decides
};

struct JobEndDecision {
  JobEndAction action = JobEndAction::kLeave;
  int code = 0;               // that Slurm should see
  std::string why;            // one clause, for people
  std::string exclude = "";   // node that the job should not get again; empty: none
  int64_t failed_starts = 0;  // in a row, this one included: to be noted with the job; 0: nothing to note
};

// Failed starts that are enough, where the last one did not even open the run: that is no matter of
// slurm.max_idle_starts, which leaves slow ones their time.
constexpr int64_t kMostFailedStarts = 3;

JobEndDecision decide_job_end(const JobEndFacts& facts);

}  // namespace nexus
