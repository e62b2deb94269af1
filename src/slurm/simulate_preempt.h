// A rehearsal of a preemption on a running job: does it come back, how soon, and what did it lose?
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "spec/campaign_spec.h"

namespace nexus {

struct PreemptOptions {
  std::string run;
  double grace_seconds = 30;       // between the notice (TERM) and the requeue
  double patience_seconds = 1800;  // until the job has committed again: about 2 minutes of it are Slurm's
  double poll_seconds = 2;
  double progress_seconds = 10;  // between lines
};

struct PreemptResult {
  std::string job;
  bool committed = false;  // a newer generation has committed a step beyond the old one's last commit
  int64_t old_generation = 0, new_generation = 0;
  int64_t steps_lost = 0;           // made before the kill, and made again
  double seconds_to_new_step = -1;  // from the notice to the first step that had not been made before; -1: none
  std::string lineage_fault;        // empty: the commits are one line of descent
  bool held() const { return committed && lineage_fault.empty(); }
};

// Sends the running job of `run` a TERM as a preemption does, requeues it unless it has done that itself, and waits.
// Throws ErrorKind::kConfig where no job of the run is running, or none has made a step yet.
PreemptResult simulate_preempt(const CampaignSpec& spec, const PreemptOptions& options,
                               const std::function<void(const std::string&)>& say);

}  // namespace nexus
