// Compute saved, taken apart: what is accounting alone and what is quality (docs/report.md has the definitions for
// readers).
//
// At the target loss, with C compute and D tokens to reach it, r the run, b the baseline, C_r(D) what the run's stages
// cost up to D tokens:
//
//   accounting = 1 - C_r(D_b) / C_b          saved if the run had the baseline's loss at the baseline's tokens
//   quality    = (C_r(D_b) - C_r) / C_b      saved because it gets there with fewer tokens; below 0: with more
//   saved      = 1 - C_r / C_b = accounting + quality
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/matched_compute.h"
#include "statistics/interval.h"

namespace nexus {

// From where a stage counts, and its price: training FLOPs are straight in tokens within it. Tokens are the workload's
// positions.
struct StageCost {
  double start_tokens, start_flops;  // of the lineage, ancestors included
  double flops_per_token;
  bool grown;  // the stage began with a growth
};

struct PricedRun {
  Curve curve;
  std::vector<StageCost> stages;  // by start_tokens, ascending
};
// No stages where the run's first commit is still to come: what it has inherited is unknown.
PricedRun priced_run(const RunHistory& run);

// Compute at a number of tokens, and back. Beyond the end at the last stage's price; among the ancestors that the
// stages do not tell of, at these ancestors' mean price. Of at least one stage.
double flops_at(const std::vector<StageCost>& stages, double tokens);
double tokens_at(const std::vector<StageCost>& stages, double flops);

struct PairOfRuns {
  PricedRun run, baseline;
};

// Each figure is a share of the baseline's compute, and the mean over the pairs.
struct ComputeSplit {
  enum class Noise {
    kNone,        // no intervals
    kEvaluation,  // one pair: the bootstrap of matched_compute.h, without the scatter of seeds
    kSeeds        // several: Student's t over the pairs
  };
  // kAtLeast: in some pair the baseline never reaches the target, and the figures take its end for it. `saved` is a
  // lower bound then; where the baseline has one price and the run's only rises, `quality` is one too and `accounting`
  // an upper bound. Only `saved` of a single pair has an interval. Of kUndetermined nothing has a value.
  Saving::Kind kind = Saving::Kind::kUndetermined;
  Noise noise = Noise::kNone;
  double target_loss = std::numeric_limits<double>::quiet_NaN();
  Interval saved, accounting, quality;  // by cumulative compute, ancestors included
  Interval stage_only;  // saved by the compute since each run's last growth before it reaches the target
  std::string reason;
};

// `pairs`: a run and its baseline of each seed or parent. Without `target_loss` the target is the best loss that all of
// their curves reach. A pair without a figure leaves all without: those that reached the target would flatter.
ComputeSplit split_saving(const std::vector<PairOfRuns>& pairs, std::optional<double> target_loss,
                          const BootstrapOptions& options = {});

}  // namespace nexus
