// Run folders without training: files as the trainer writes them, with losses from a formula. For tests of what reads
// them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "records/workload_words.h"

namespace nexus {

struct SyntheticStage {
  std::string name;
  int64_t params;
  double flops_per_token;
  int64_t steps;
};

// Validation loss = floor + scale * (cumulative FLOPs)^-exponent; growth changes nothing (lossless).
struct SyntheticRun {
  std::string name = "synthetic";
  std::string arch = "nexusformer";
  std::string flops_def = "gemm_causal";
  std::vector<SyntheticStage> stages;
  double floor = 2.0, scale = 400.0, exponent = 0.15;
  double loss_se = 0.01;  // of every evaluation
  double noise = 0.0;     // standard deviation of an evaluation's loss about the formula
  int64_t tokens_per_step = 1 << 16;
  int64_t eval_every = 20;  // steps
  int64_t eval_tokens = 1 << 20;
  int64_t windows = 256;                                               // of every evaluation
  std::string valid_digest = "valid", tokenizer_digest = "tokenizer";  // empty: as an older nexus wrote rows
  std::string valid_type;                                              // empty: as an older nexus wrote rows
  int64_t vocab = 32000;                                               // 0: the model has none
  int64_t inherited_tokens = 0;
  double inherited_flops = 0;
  WorkloadWords words;
  std::string figure, figure_unit = "nats/token";  // of every evaluation: the loss less 0.5; empty: there is none
  uint64_t seed = 1;
  bool done = true;

  double loss_at(double flops) const;
};

// Writes run.json, metrics.jsonl, eval.jsonl, ledger.jsonl and STATUS into `folder`, which is made.
void write_synthetic_run(const SyntheticRun& run, const std::string& folder);

// Of a workload that nexus does not have: points, a loss in squared error, no perplexity, R^2.
SyntheticRun run_of_points(SyntheticRun run);

// A campaign in two stages (240M, then 440M) that learns faster with `scale` smaller; `steps` in each.
SyntheticRun grown_run(const std::string& name, const std::string& arch, double scale, int64_t steps = 100);

}  // namespace nexus
