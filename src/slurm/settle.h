// The last command of every job script: carries out decide_settle.
#pragma once

#include <string>
#include <vector>

#include "campaign/run_lease.h"
#include "slurm/settle_decision.h"

namespace nexus {

struct SettleOptions {
  std::string run;
  int code = 0;
  int64_t max_requeues = 100;
  double patience_seconds = 300;  // where Slurm's controller does not answer
  double retry_seconds = 10;      // between questions, in the end
};

// Starts of the job in a row, up to the one that `job` is, that have no lease: nexus never opened the run.
int64_t vain_starts(const std::vector<LeaseRecord>& leases, const SlurmJob& job);

// Whether a later start of the job, or after this start another job, has owned the run since.
bool is_replaced(const std::vector<LeaseRecord>& leases, const SlurmJob& job);

// Decides, acts, prints one line, and returns the exit code for Slurm. Throws ErrorKind::kConfig outside of a job.
// Signals that end jobs are held off meanwhile, as Slurm sends them for the very requeue that is asked for here.
int settle(const SettleOptions& options);

}  // namespace nexus
