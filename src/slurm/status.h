// `nexus slurm status`: where a run stands, what Slurm does about it, and what it has cost.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "slurm/queue.h"
#include "spec/campaign_spec.h"

namespace nexus {

struct StageView {
  std::string name, state;  // done, running, stopped or waiting
  int64_t steps = 0, steps_done = 0, steps_committed = 0;
  int64_t tokens = 0, tokens_done = 0;
  bool owes_evaluation = false;  // of its last committed step: it is not done before that is made up for
};

struct JobView {
  std::string stage;  // empty: the whole campaign
  std::string after;
  QueuedJob job;  // state "not in the queue" where Slurm has forgotten it
};

// One thing that is spent, with its limit if there is one.
struct SpentView {
  std::string what;  // gpu_hours (of ranks), node_hours, kwh, money
  double spent = 0;
  std::optional<double> limit;
};

struct RunView {
  std::string run, campaign, status;  // status: the line of RUN/STATUS, "killed ..." if gone
  std::string unit;                   // what `tokens` of the stages are called
  int64_t starts = 0;                 // generations
  std::vector<StageView> stages;
  std::vector<JobView> jobs;
  std::optional<double> seconds_per_step;  // median of the last steps
  // Of the whole campaign at the rate of the last steps, larger stages by their FLOPs; without queueing and saves.
  std::optional<double> seconds_left;
  std::vector<SpentView> spent;
};

// Of those of `runs` whose STATUS says that they run, which do not (campaign/launch_liveness.h). Where Slurm says that
// a launch's job runs, it is believed.
std::vector<bool> runs_without_process(const std::vector<std::string>& runs, const std::vector<QueuedJob>& queue);

// `queue`: all jobs of this user. `gone`: the run's process is. Never fails on what a running job is just writing.
RunView view_run(const CampaignSpec& spec, const std::string& run, const std::vector<QueuedJob>& queue,
                 bool gone = false);

// Rows for people: columns as wide as their widest cell, the last ragged.
std::string table_text(const std::vector<std::vector<std::string>>& rows);

std::string run_text(const RunView& view);
nlohmann::ordered_json run_json(const RunView& view);

}  // namespace nexus
