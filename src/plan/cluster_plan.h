// What a campaign will take on a cluster: jobs, hours, energy, money, saves and what failures cost. Nothing is guessed:
// a figure that needs what neither the cluster file nor the command line says is absent, and `missing` names what it
// needs.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "plan/goodput.h"
#include "plan/plan.h"
#include "spec/cluster_spec.h"

namespace nexus {

// What the user knows of the speed.
struct MeasuredSpeed {
  std::vector<double> tokens_per_second;  // of the whole job: one, or one for each stage; empty: not known
  std::optional<double> mfu;              // instead: share of account.peak_tflops, by account.flops_def
  std::optional<double> save_stop;        // seconds that training stands still for an asynchronous save
};

// Seconds of training between saves, and the goodput (goodput.h) that they give.
struct IntervalForecast {
  double seconds = 0;
  std::optional<double> goodput;  // needs restart
};

struct StageOnCluster {
  std::string name;
  int64_t checkpoint_bytes = 0;
  std::optional<double> write_seconds, stop_seconds;  // of a save
  std::optional<IntervalForecast> own;                // by checkpoint.every, or the whole stage if that is shorter
  std::optional<IntervalForecast> best, young, daly;  // need node_mtbf and storage_gb_per_s
  std::optional<double> tokens_per_second;            // while it trains
  std::optional<double> training_hours;               // at that rate
  std::optional<double> wall_hours;                   // with saves, failures and restarts: needs the goodput
  std::optional<double> failures;                     // to be expected in that time
  std::optional<int64_t> starts;                      // that time limits cut it into
  std::optional<double> gpu_hours, node_hours, kwh, money;  // of wall_hours, or else of training_hours
};

struct ClusterPlan {
  std::string cluster;
  std::string short_unit;  // "tok" per second
  int64_t nodes = 1, ranks = 1, ranks_per_node = 1;
  int64_t jobs = 1;                        // of the chain
  std::optional<double> limit_seconds;     // of a job
  std::optional<double> job_mtbf_seconds;  // of all nodes together
  std::vector<StageOnCluster> stages;
  std::vector<std::string> missing, warnings;
};

// `forecast` is of `spec` on the ranks that the jobs will have. Throws kConfig where the speed does not fit the
// campaign, or time limits leave no time to train.
ClusterPlan plan_on_cluster(const CampaignSpec& spec, const ClusterSpec& cluster, const Forecast& forecast,
                            const MeasuredSpeed& speed);

std::string cluster_plan_text(const ClusterPlan& plan);
nlohmann::json cluster_plan_json(const ClusterPlan& plan);  // null: not known

}  // namespace nexus
