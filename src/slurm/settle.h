// The last command of every job script: carries out decide_settle.
#pragma once

#include <string>

#include "slurm/settle_decision.h"

namespace nexus {

struct SettleOptions {
  std::string run;
  int code = 0;
  Launcher launcher = Launcher::kSrun;
  int64_t max_requeues = 100;
  double patience_seconds = 300;  // where Slurm's controller does not answer
  double retry_seconds = 10;
};

// This job, as its environment tells it.
struct SlurmJob {
  std::string id;      // SLURM_JOB_ID
  std::string target;  // what scontrol and scancel call it: "123", or "123_4" for a task of an array
  int64_t restart = 0;
};

// Throws ErrorKind::kConfig outside of a job.
SlurmJob job_from_environment();

// Decides, acts, prints one line, and returns the exit code for Slurm. Signals that end jobs are held off meanwhile, as
// Slurm sends them for the very requeue that is asked for here.
int settle(const SettleOptions& options);

}  // namespace nexus
