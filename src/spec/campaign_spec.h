// The whole of a campaign file as plain data: what `config` fills and everything else reads (docs/configuration.md).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/data_options.h"
#include "growth/growth_options.h"
#include "model/model_config.h"
#include "optim/schedule.h"
#include "spec/train_options.h"

namespace nexus {

// A length of training given in tokens ("1.2B"), in steps, or as a share of the stage ("1%"); resolved against a stage.
struct Span {
  enum class Unit { kSteps, kTokens, kShare } unit = Unit::kSteps;
  double value = 0;
  // Steps of this span in a stage of `total_steps`, each of `step_tokens`; rounded up. A share or a token count that is
  // positive gives at least one step.
  int64_t steps(int64_t total_steps, int64_t step_tokens) const;
};

struct LearningRateSpec {
  ScheduleKind kind = ScheduleKind::kCosine;
  double peak = 6e-4, min = 0;
  Span warmup{Span::Unit::kShare, 0.01};
  Span decay{Span::Unit::kShare, 0.2};  // WSD only
};

struct StageSpec {
  std::string name;
  int64_t tokens = 0;
  LearningRateSpec lr;
  GrowthOptions grow;  // grow.new_warmup_steps is resolved from `grow_warmup` when the stage starts
  Span grow_warmup;
  Span grow_norm_scale;  // grow.norm_scale: there is one
  Span grow_mask;        // grow.mask likewise
};

// How the campaign is cut into jobs (docs/slurm.md). Where they run is the cluster's matter (cluster_spec.h).
struct SlurmSpec {
  enum class Chain { kStages, kCampaign } chain = Chain::kStages;  // a job for every stage, or one for all
  int64_t nodes = 1;
  double time_seconds = 0;          // time limit of a job; 0: the cluster's longest
  double stop_margin_seconds = 60;  // a job stops itself so long, and a measured save, before its time limit
  int64_t max_requeues = 100;       // of one job
  int64_t max_idle_starts = 3;      // starts in a row that commit nothing: then nothing more is requeued
};

// What the campaign may use in all, lost work included; nothing: no limit. At a limit: save, then exit with 5.
struct BudgetSpec {
  std::optional<double> gpu_hours;  // rank-hours: of GPUs, or of CPU ranks
  std::optional<double> node_hours;
  std::optional<double> kwh;    // needs account.watts_per_gpu
  std::optional<double> money;  // needs account.price_per_gpu_hour
};

struct CampaignSpec {
  std::string name;
  std::string out;  // run folder
  uint64_t seed = 1234;
  std::string init_from;  // checkpoint of another run, or the folder of one that is done; empty: fresh weights
  ModelConfig model;
  std::string tokenizer;  // SentencePiece model or tokenizer.json; may be empty
  DataOptions data;
  BatchSpec batch;
  OptimizerSpec optimizer;
  ParallelSpec parallel;
  PrecisionSpec precision;
  std::vector<StageSpec> stages;
  CheckpointSpec checkpoint;
  EvalSpec eval;
  LoggingSpec logging;
  SafetySpec safety;
  AccountSpec account;
  BudgetSpec budget;
  SlurmSpec slurm;

  // The model of stage `index` (growth of stages 0..index applied to `model`).
  ModelConfig model_of_stage(size_t index) const;
  int64_t steps_of_stage(size_t index) const;  // ceil(tokens / global_tokens)
  Schedule schedule_of_stage(size_t index) const;
  // Throws ErrorKind::kConfig naming the key where a stage's model, or a sequence, cannot be cut over `tp` ranks.
  void check_tensor_parallel(int tp) const;
  void check_sequence_cut(int tp) const;  // the sequence only
};

}  // namespace nexus
