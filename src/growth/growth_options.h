// How a stage grows its model: Nexus-Rank layers along M and A, a Tokenformer by parameter tokens (docs/numerics.md,
// Growth).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/model_config.h"

namespace nexus {

class GrowthPolicy;  // growth_policy.h
const std::vector<const GrowthPolicy*>& all_growth_policies();

enum class MomentPolicy { kKeep, kKeepV, kReset };  // AdamW state of the old entries over a growth

struct GrowthOptions {
  std::map<Width, int64_t> widths;  // the new extents; empty: no growth
  const GrowthPolicy* policy = all_growth_policies().front();
  std::map<std::string, double> numbers;  // the policy's own (GrowthKey), where they are not its presets
  MomentPolicy moments = MomentPolicy::kKeep;
  double old_lr_mult = 1.0;      // learning-rate multiplier of all that was there before; 0 freezes it
  double new_lr_mult = 1.0;      // of the new blocks
  double new_warmup_from = 0.0;  // the multiplier at which the new blocks' own warm-up begins
  bool norm_scale = false;       // the scale of norm l2 follows the widths in the stage (params/norm_scale.h)
  bool mask = false;             // the new channels come in behind a mask (params/growth_mask.h)
  bool new_warmup_decay = true;  // whether they have weight decay during it
  bool lossless = true;          // the check must pass, or the campaign stops
  bool allow_dead = false;       // permits blocks that can never move

  bool grows() const { return !widths.empty(); }
  // A number that the policy has.
  double number(const std::string& key) const;
};

// Why a growth of `model` by these options cannot keep what they promise, and the cure; nothing if it can.
struct PolicyProblem {
  std::string what, todo;
};
std::optional<PolicyProblem> policy_problem(const GrowthOptions& options, const ModelConfig& model);

// Why these widths are no growth of `model`, and the cure; nothing if they are.
struct WidthProblem {
  Width width;  // empty: none of them alone
  std::string what, todo;
};
std::optional<WidthProblem> width_problem(const GrowthOptions& options, const ModelConfig& model);

std::string name_of(MomentPolicy policy);
// The policy of that name; throws ErrorKind::kConfig with the nearest name.
MomentPolicy moment_policy(const std::string& name);
// The place of `name` in `names`; throws the same for `key`.
size_t policy_index(const std::string& name, const std::vector<std::string>& names, const char* key);

}  // namespace nexus
