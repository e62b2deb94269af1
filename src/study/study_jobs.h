// A study on Slurm: which of its runs are left for job arrays, in which order, and what the queue says of the others.
//
// One array for each generation of ancestry, each after all tasks of the one before have ended, however: a task of a
// parent that failed ends at once (campaign/launch_inputs.h), the others go on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "slurm/queue.h"
#include "slurm/render.h"
#include "spec/cluster_spec.h"
#include "spec/study_spec.h"

namespace nexus {

// The newest job of a run.
struct StudyJob {
  std::string id;
  std::string log;               // of all its starts
  std::optional<QueuedJob> job;  // nothing: Slurm has forgotten it
  bool live() const { return job && job->live(); }
};

// For each run its job, if it ever had one: one that lives before one that has ended. `queue`: all jobs of this user.
std::vector<std::optional<StudyJob>> jobs_of_study(const std::vector<StudyRun>& runs,
                                                   const std::vector<QueuedJob>& queue);

// A task for every run that is neither done nor in the queue; none may be left. At most `throttle` of an array run at a
// time. Throws ErrorKind::kConfig where the cluster's job has not the ranks or the device of the study.
RenderInput render_input(const StudySpec& study, const ClusterSpec& cluster, int64_t throttle,
                         const std::vector<QueuedJob>& queue);

// All jobs of this user; none, and nobody is asked, where the study never had one. Errors: as read_queue.
std::vector<QueuedJob> queue_of(const StudySpec& study);

// Throws ErrorKind::kConfig while jobs of the study wait or run: what works on this machine would take their runs.
// Where Slurm does not answer, that is warned of.
void require_no_jobs(const StudySpec& study);

}  // namespace nexus
