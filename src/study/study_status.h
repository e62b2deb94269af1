// Where the runs of a study stand, by their folders: what `nexus study status` shows and the runner goes by.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "spec/study_spec.h"

namespace nexus {

enum class StudyRunState {
  kWaiting,  // for its turn, or for its parent
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
};

// In the order of runs_of. Never fails on what a running run is just writing.
std::vector<StudyRunView> view_study(const StudySpec& study);

// For people: a line for each arm with the states of its seeds, then what runs and what has failed.
std::string status_text(const StudySpec& study, const std::vector<StudyRunView>& views);
nlohmann::ordered_json status_json(const StudySpec& study, const std::vector<StudyRunView>& views);

}  // namespace nexus
