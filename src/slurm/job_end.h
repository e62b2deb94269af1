// The last command of every job script: carries out decide_job_end.
#pragma once

#include <string>
#include <vector>

#include "campaign/run_lease.h"
#include "slurm/job_end_decision.h"

namespace nexus {

struct JobEndOptions {
  std::string run;
  int code = 0;
  int64_t max_requeues = 100;
  double patience_seconds = 300;  // where Slurm's controller does not answer
  double retry_seconds = 10;      // between questions, in the end
};

// Whether a later start of the job, or after this start another job, has owned the run since.
bool is_replaced(const std::vector<LeaseRecord>& leases, const SlurmJob& job);

// Decides, acts, prints one line, and returns the exit code for Slurm. Throws ErrorKind::kConfig outside of a job.
// Signals that end jobs are held off meanwhile, as Slurm sends them for the very requeue that is asked for here.
int end_job(const JobEndOptions& options);

}  // namespace nexus
