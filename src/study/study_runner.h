// `nexus study run`: trains the runs of a study on this machine, as many at a time as it says, parents first.
//
// All state is in the run folders: whatever ends this process, the same command continues. A run is its campaign file
// OUT/ARM/seed-N.yaml, its folder OUT/ARM/seed-N and what it printed, OUT/ARM/seed-N.log; `nexus train` on that file
// does the same.
#pragma once

#include <optional>
#include <string>

#include "core/exit_code.h"
#include "core/file_descriptor.h"
#include "spec/study_spec.h"

namespace nexus {

struct StudyLaunch {
  std::string program;                 // nexus
  std::optional<double> stop_seconds;  // --stop-after
  int gpus = 0;                        // that this process sees; runs on `cuda` share them out
};

// One runner, or submission, at a time: throws ErrorKind::kConfig where there is another. The lock goes with this
// process, however it ends.
FileDescriptor lock_study(const std::string& out);

// kDone where every run is done; kStopped after a signal, a file OUT/STOP or --stop-after, when all runs have saved;
// else the exit code of the first run that failed, of which the log names all. A run that fails stops none but those
// that start from it; trouble that may pass (ExitCode::kTransient, kHardware, a kill) is tried again some times.
// Refuses (ErrorKind::kConfig) beside another runner, and while jobs of the study are in Slurm's queue.
ExitCode run_study(const StudySpec& study, const StudyLaunch& launch);

}  // namespace nexus
