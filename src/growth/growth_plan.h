// Growth as a pure function: two parameter tables in, a list of moves out (docs/numerics.md, Growth).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "growth/growth_options.h"
#include "params/param_table.h"

namespace nexus {

enum class Fill : uint8_t { kCopy, kZero, kNormal };

// One rectangle of a tensor of the grown model: [row_begin, row_end) x [column_begin, column_end), rank-1 tensors being
// one column. kCopy takes the same rectangle of the old tensor; the others are new parameters.
struct GrowthMove {
  int from = -1, to = -1;  // indices in the old and the new table
  int64_t row_begin = 0, row_end = 0, column_begin = 0, column_end = 0;
  Fill fill = Fill::kCopy;
  double std = 0;     // kNormal
  std::string block;  // "layers.0.attn.q.w_a[rows 192:256, columns 0:128]" for reports

  int64_t count() const { return (row_end - row_begin) * (column_end - column_begin); }
};

// Throws ErrorKind::kConfig where the tables differ in more than growable extents, or an extent shrinks.
std::vector<GrowthMove> plan_growth(const ParamTable& from, const ParamTable& to, const GrowthOptions& options);

// Parameters that the moves add.
int64_t new_parameters(const std::vector<GrowthMove>& moves);

}  // namespace nexus
