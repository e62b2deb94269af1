// What rank 0 looks after while a launch trains: that the run folder is its own, that the job is not overtaken by its
// time limit, and that the budget holds.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "campaign/budget.h"
#include "campaign/run_lease.h"
#include "checkpoint/checkpoint.h"
#include "train/run_records.h"
#include "train/stop_requests.h"

namespace nexus {

// When a job must begin its last save: a save and a margin before the limit that Slurm states. Asks Slurm now and then,
// and once more before it says so: limits can be changed while a job runs.
class JobDeadline {
 public:
  using SecondsLeft = std::function<std::optional<double>()>;  // until the limit; nothing: no answer
  JobDeadline(SecondsLeft ask, double margin_seconds);
  bool reached(double save_seconds);

 private:
  void ask_again();
  double left() const;
  SecondsLeft ask_;
  double margin_seconds_;
  std::optional<double> left_when_asked_;  // by the last answer
  double longest_save_ = 0;                // that is left room for: a quarter of what was left at the start
  double asked_ = 0, answered_ = 0;        // when, by the steady clock
};

class LaunchKeeper {
 public:
  // Claims the run (see RunLease). A launch that is overtaken by a newer one ends the process with exit code 77, at
  // once and from a thread: nothing that it would still write could count.
  LaunchKeeper(const RunFolder& run, const CampaignSpec& spec, int ranks, int nodes);

  LaunchMark mark() const;
  // Throws ErrorKind::kNoProgress where this Slurm job has started too often without a commit.
  void refuse_failed_starts();
  void add_sources(StopRequests& requests);  // keep this alive as long as `requests`
  Fence fence() const;
  void committed(RunRecords& records, const TrainState& state, const SaveResult& saved);
  void note_end(const LaunchEnd& end) { lease_.note_end(end); }
  // The limit that is reached, or "".
  std::string spent() const;

 private:
  RunFolder run_;
  const CampaignSpec& spec_;
  SlurmJob job_;
  RunLease lease_;
  JobDeadline deadline_;
};

}  // namespace nexus
