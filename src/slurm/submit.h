// Hands rendered jobs to Slurm, and takes them back.
#pragma once

#include <string>
#include <vector>

#include "slurm/queue.h"
#include "slurm/render.h"

namespace nexus {

// Leading stages that a launch would not work on again, by its own rule (next_action): nothing to submit for them.
// Throws ErrorKind::kConfig where the run stands in a stage that the campaign no longer has, and as committed_state.
size_t finished_stages(const CampaignSpec& spec);

// The jobs of `rendered` that are left to do.
std::vector<RenderedJob> open_jobs(const RenderInput& input, const RenderedJobs& rendered);

// Writes the files, submits `jobs` as a chain (each by `afterok` of the one before, arrays by `afterany`), and records
// each in jobs.json as soon as Slurm has it. Refuses (ErrorKind::kConfig) while jobs of one of the run folders wait or
// run, recorded or not: a submission that was cut short leaves no second chain. If sbatch or recording a job fails, or
// an answer of sbatch is lost, all that this call has submitted is looked for (again after `look_again_seconds`) and
// cancelled: take_back.h.
std::vector<BookedJob> submit_jobs(const RenderedJobs& rendered, const std::vector<RenderedJob>& jobs,
                                   double look_again_seconds = 2);

// What submit_jobs would run, and the scripts, for people.
std::string describe_submission(const RenderedJobs& rendered, const std::vector<RenderedJob>& jobs);

// Cancels the jobs of a run folder that wait or run, and no others. Returns them.
std::vector<QueuedJob> cancel_jobs(const std::string& run);

// scancel, which complains of jobs that have just ended.
void cancel_ids(const std::vector<std::string>& ids);

}  // namespace nexus
