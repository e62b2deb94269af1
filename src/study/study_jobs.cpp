#include "study/study_jobs.h"

#include <algorithm>
#include <filesystem>

#include "config/study.h"
#include "core/error.h"
#include "core/files.h"
#include "core/log.h"
#include "core/run_folder.h"
#include "spec/rules.h"
#include "study/study_status.h"

namespace nexus {
namespace {

// HOME/logs/array-1-124_3.out of HOME/slurm/array-1.sbatch; a run that was submitted by itself has a script below its
// own folder.
std::string log_of(const JobBook& book, const BookedJob& booked) {
  const std::filesystem::path script = std::filesystem::path(book.run) / booked.script;
  return RunFolder{script.parent_path().parent_path().string()}.log_folder() +
         fmt::format("/{}-{}.out", script.stem().string(), booked.id);
}

void require_placed(const StudySpec& study, const CampaignSpec& campaign, const ClusterSpec& cluster) {
  const int ranks = ranks_of_job(campaign, cluster);
  if (ranks != study.ranks)
    throw Error(ErrorKind::kConfig,
                fmt::format("the study's runs have {} ranks, {} nodes of this cluster make {}", study.ranks,
                            campaign.slurm.nodes, ranks),
                "key ranks", "correct it, or slurm.nodes of the base, or the cluster file's tasks_per_node");
  const char* device = cluster.gpus_per_node > 0 ? "cuda" : "cpu";
  if (study.device != device)
    throw Error(ErrorKind::kConfig, fmt::format("the study computes on {}, this cluster on {}", study.device, device),
                "key device", "correct it, or the cluster file's gpus_per_node");
}

int64_t generation_of(const std::vector<StudyRun>& runs, const StudyRun& run) {
  return run.parent ? 1 + generation_of(runs, runs[*run.parent]) : 0;
}

}  // namespace

std::vector<std::optional<StudyJob>> jobs_of_study(const std::vector<StudyRun>& runs,
                                                   const std::vector<QueuedJob>& queue) {
  std::vector<std::optional<StudyJob>> jobs(runs.size());
  for (size_t i = 0; i < runs.size(); ++i) {
    const JobBook book = read_job_book(runs[i].folder);
    const std::vector<QueuedJob> known = jobs_of_run(queue, runs[i].folder, book);
    for (const BookedJob& booked : book.jobs) {
      const auto found = std::ranges::find(known, booked.id, &QueuedJob::id);
      StudyJob job{booked.id, log_of(book, booked), found == known.end() ? std::nullopt : std::optional(*found)};
      if (job.live() || !jobs[i] || !jobs[i]->live()) jobs[i] = std::move(job);
    }
  }
  return jobs;
}

RenderInput render_input(const StudySpec& study, const ClusterSpec& cluster, int64_t throttle,
                         const std::vector<QueuedJob>& queue) {
  RenderInput input;
  input.array = input.adds = true;
  input.throttle = throttle;
  input.home = study.out;
  input.name = study.name;
  input.cluster = cluster;
  const std::vector<StudyRun> runs = runs_of(study);
  const std::vector<std::optional<StudyJob>> jobs = jobs_of_study(runs, queue);
  const auto lives = [&](size_t i) { return jobs[i] && jobs[i]->live(); };
  for (size_t i = 0; i < runs.size(); ++i) {
    const LoadedCampaign campaign = campaign_of(study, runs[i]);
    require_placed(study, campaign.spec, cluster);
    if (lives(i) || is_done(study, runs[i])) continue;
    RenderTask task{campaign.spec, campaign.resolved_yaml, generation_of(runs, runs[i])};
    if (runs[i].parent && lives(*runs[i].parent)) task.after.push_back(jobs[*runs[i].parent]->id);
    input.tasks.push_back(std::move(task));
  }
  return input;
}

std::vector<QueuedJob> queue_of(const StudySpec& study) {
  const auto has_book = [](const std::string& folder) { return path_exists(RunFolder{folder}.jobs()); };
  const std::vector<StudyRun> runs = runs_of(study);
  const bool any =
      has_book(study.out) || std::ranges::any_of(runs, [&](const StudyRun& run) { return has_book(run.folder); });
  return any ? read_queue() : std::vector<QueuedJob>();
}

void require_no_jobs(const StudySpec& study) {
  std::vector<QueuedJob> live;
  const auto add = [&](const QueuedJob& job) {
    if (job.live() && std::ranges::find(live, job.id, &QueuedJob::id) == live.end()) live.push_back(job);
  };
  try {
    const std::vector<QueuedJob> queue = queue_of(study);
    // Those of its arrays, also ones that a crash kept from being recorded, and of runs that were submitted by
    // themselves.
    for (const QueuedJob& job : jobs_of_run(queue, study.out, read_job_book(study.out))) add(job);
    for (const std::optional<StudyJob>& job : jobs_of_study(runs_of(study), queue))
      if (job && job->job) add(*job->job);
  } catch (const Error& error) {
    return warn("study {}: jobs that were submitted for it may wait or run: {}", study.name, error.what());
  }
  if (!live.empty())
    throw Error(ErrorKind::kConfig, "jobs of this study wait or run: " + describe(live), study.out,
                "follow them with `nexus study status`, or end them with `nexus slurm cancel`");
}

}  // namespace nexus
