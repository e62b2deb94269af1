// Where runs stand, by their folders alone: their campaigns are found there.
#pragma once

#include <string>
#include <vector>

#include "slurm/status.h"

namespace nexus {

// What the jobs of a run run, or else what its last launch ran. Throws as load_campaign.
CampaignSpec campaign_of_run(const std::string& run);

// This user's jobs; none where there is no Slurm, nor, with a warning, where it does not answer: run folders have
// something to say all the same.
std::vector<QueuedJob> queue_if_any();

// What takes time to find out, some seconds for runs on other machines (campaign/launch_liveness.h).
struct RunsAlive {
  std::vector<QueuedJob> queue;
  std::vector<bool> gone;  // of each run
};
RunsAlive find_alive(const std::vector<std::string>& runs, const std::vector<QueuedJob>& queue);

std::vector<RunView> view_runs(const std::vector<std::string>& runs, const RunsAlive& alive);

}  // namespace nexus
