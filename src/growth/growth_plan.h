// Growth as a pure function: two parameter tables in, a list of moves out (docs/numerics.md, Growth).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "growth/growth_policy.h"

namespace nexus {

// One rectangle of a tensor of the grown model, rank-1 tensors being one column.
struct GrowthMove {
  int from = -1, to = -1;  // indices in the old and the new table
  Box box;
  bool is_new = false;  // new parameters; else entries of the old tensor's own rectangle
  Entries entries;
  bool with_moments = true;  // the moments come with the copied entries; else they are zero
  std::string block;         // "layers.0.attn.q.w_a[rows 192:256, columns 0:128]" for reports
};

// Throws ErrorKind::kConfig where the tables differ in more than growable extents, or an extent shrinks.
std::vector<GrowthMove> plan_growth(const ParamTable& from, const ParamTable& to, const GrowthOptions& options);

// Parameters that the moves add.
int64_t new_parameters(const std::vector<GrowthMove>& moves);

}  // namespace nexus
