// How a stage grows its model: Nexus-Rank layers along M and A, a Tokenformer by parameter tokens (docs/numerics.md,
// Growth).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "model/model_config.h"

namespace nexus {

enum class GrowthInit {
  kZeroRows,     // new producing entries 0, new consuming entries normal(0, column_std): lossless and alive (default)
  kZeroAll,      // the paper's equations as printed: lossless and dead
  kZeroColumns,  // new producing entries random, consuming 0: lossless without norm only
  kRandom,       // everything random: ablation
  kReleased,     // Tokenformer, the published loader: new keys random, n_scale grows
  kZeroKey,      // Tokenformer: zero keys, n_scale grows
  kZeroKeyFixedScale  // Tokenformer: zero keys, n_scale stays: lossless and alive
};
enum class MomentPolicy { kKeep, kKeepV, kReset };  // AdamW state of the old entries over a growth

struct GrowthOptions {
  std::map<Width, int64_t> widths;  // the new extents; empty: no growth
  GrowthInit init = GrowthInit::kZeroRows;
  double column_std = 0.02;
  MomentPolicy moments = MomentPolicy::kKeep;
  double new_lr_mult = 1.0;      // learning-rate multiplier of the new blocks
  int64_t new_warmup_steps = 0;  // linear warm-up of the new blocks' own, from the stage's first step
  bool lossless = true;          // the check must pass, or the campaign stops
  bool allow_dead = false;       // permits blocks that can never move

  bool grows() const { return !widths.empty(); }
};

// Why a growth of `model` by these options cannot keep what they promise, and the cure; nothing if it can.
struct PolicyProblem {
  std::string what, todo;
};
std::optional<PolicyProblem> policy_problem(const GrowthOptions& options, const ModelConfig& model);

// Whether new entries are drawn with GrowthOptions::column_std.
bool draws_by_column_std(GrowthInit init);

std::string name_of(GrowthInit init);
std::string name_of(MomentPolicy policy);
// The policy of that name; throws ErrorKind::kConfig with the nearest name.
GrowthInit growth_init(const std::string& name);
MomentPolicy moment_policy(const std::string& name);

}  // namespace nexus
