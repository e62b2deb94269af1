#include "monitor/view_runs.h"

#include "config/config.h"
#include "core/error.h"
#include "core/files.h"
#include "core/run_folder.h"
#include "slurm/job_book.h"

namespace nexus {

CampaignSpec campaign_of_run(const std::string& run) {
  const std::string rendered = RunFolder{run}.slurm_folder() + "/campaign.yaml";
  return load_campaign(path_exists(rendered) ? rendered : RunFolder{run}.resolved_config()).spec;
}

std::vector<QueuedJob> queue_if_any() {
  try {
    return read_queue();
  } catch (const Error&) {
    return {};
  }
}

RunsAlive find_alive(const std::vector<std::string>& runs, const std::vector<QueuedJob>& queue) {
  return {queue, runs_without_process(runs, queue)};
}

std::vector<RunView> view_runs(const std::vector<std::string>& runs, const RunsAlive& alive) {
  std::vector<RunView> views;
  for (size_t i = 0; i < runs.size(); ++i)
    views.push_back(view_run(campaign_of_run(runs[i]), absolute_path(runs[i]), alive.queue, alive.gone[i]));
  return views;
}

}  // namespace nexus
