// Where the runs of a study stand, by their folders: what `nexus study status` shows and the runner goes by.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "spec/study_spec.h"
#include "study/study_jobs.h"

namespace nexus {

// Whether the run has come to its end, under this very campaign.
bool is_done(const StudySpec& study, const StudyRun& run);

enum class StudyRunState {
  kWaiting,  // for its turn, or for its parent
  kQueued,   // its job waits in Slurm's queue
  kRunning,
  kStopped,  // or killed: it goes on with the next `nexus study run`
  kFailed,
  kDone
};
const char* name_of(StudyRunState state);

struct StudyRunView {
  StudyRunState state = StudyRunState::kWaiting;
  std::string text;         // STATUS's line for people; of a run that has not begun what it waits for
  double tokens_done = 0;   // of its own stages
  double tokens_total = 0;  // likewise
  std::optional<double> loss;
  double tokens_per_second = 0;  // of a run that runs, of its last steps; 0: not known
  std::optional<StudyJob> job;   // its newest
};

// In the order of runs_of. Never fails on what a running run is just writing. `queue`: all jobs of this user.
std::vector<StudyRunView> view_study(const StudySpec& study, const std::vector<QueuedJob>& queue);

// For people: a line for each arm with the states of its seeds, how much is done and when the rest will be, the jobs
// that are in the queue, and what has failed.
std::string status_text(const StudySpec& study, const std::vector<StudyRunView>& views);
nlohmann::ordered_json status_json(const StudySpec& study, const std::vector<StudyRunView>& views);

}  // namespace nexus
