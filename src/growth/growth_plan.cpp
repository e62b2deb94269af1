#include "growth/growth_plan.h"

#include "core/error.h"

namespace nexus {
namespace {

void require_compatible(const ParamSpec& from, const ParamSpec& to) {
  bool same = from.axes.size() == to.axes.size();
  for (size_t i = 0; same && i < from.axes.size(); ++i) {
    const Axis &a = from.axes[i], &b = to.axes[i];
    same = a.width == b.width && a.role == b.role && (a.extent == b.extent || b.width != kFixedWidth);
    if (same && b.extent < a.extent)
      throw Error(ErrorKind::kConfig, fmt::format("{} would shrink from {} to {}", b.width, a.extent, b.extent),
                  to.name, "growth only adds: give a width at least as large as before");
  }
  if (!same)
    throw Error(ErrorKind::kConfig, fmt::format("{} cannot grow into {}", from.shape().str(), to.shape().str()),
                to.name, "only the inner widths may change between stages");
}

// A mistake of the policy's: picks that are not one for each row of the block, or none of the old tensor's.
void require_picks(const std::vector<Pick>& picks, bool is_new, int64_t extent, int64_t old_extent) {
  NX_CHECK(picks.empty() ? !is_new : static_cast<int64_t>(picks.size()) == extent, "{} picks for {}", picks.size(),
           extent);
  for (const Pick& pick : picks)
    NX_CHECK(pick.index >= 0 && pick.index < old_extent, "picks {} of {}", pick.index, old_extent);
}

GrowthMove move_of(const GrowthBlock& block, int from, int to, const GrowthOptions& options) {
  const Box& box = block.box;
  GrowthMove move{from, to, box, block.is_new(), {}, true, ""};
  if (move.is_new) {
    move.entries = options.policy->new_entries(block, options);
    move.with_moments = options.policy->copies_moments();
    move.block = fmt::format("{}[rows {}:{}, columns {}:{}]", block.to.name, box.begin_row, box.end_row(),
                             box.begin_column, box.end_column());
  } else {
    move.entries = options.policy->old_entries(block, options);
  }
  for (const Copy& copy : move.entries.copies) {
    require_picks(copy.rows, block.new_rows, box.rows, block.from.rows());
    require_picks(copy.columns, block.new_columns, box.columns, block.from.columns());
  }
  return move;
}

}  // namespace

std::vector<GrowthMove> plan_growth(const ParamTable& from, const ParamTable& to, const GrowthOptions& options) {
  if (from.size() != to.size())
    throw Error(ErrorKind::kConfig, fmt::format("{} tensors cannot grow into {}", from.size(), to.size()), "",
                "grow within one architecture, depth and tying");
  std::vector<GrowthMove> moves;
  for (int index = 0; index < to.size(); ++index) {
    const int old_index = from.find(to[index].name);
    if (old_index < 0)
      throw Error(ErrorKind::kConfig, "the grown model has a tensor that the old one lacks", to[index].name,
                  "grow within one architecture, depth and tying");
    const ParamSpec &old = from[old_index], &grown = to[index];
    require_compatible(old, grown);
    for (const bool new_rows : {false, true})
      for (const bool new_columns : {false, true}) {
        const int64_t row = new_rows ? old.rows() : 0, column = new_columns ? old.columns() : 0;
        const Box box{row, (new_rows ? grown.rows() : old.rows()) - row, column,
                      (new_columns ? grown.columns() : old.columns()) - column};
        if (!box.empty()) moves.push_back(move_of({old, grown, box, new_rows, new_columns}, old_index, index, options));
      }
  }
  return moves;
}

int64_t new_parameters(const std::vector<GrowthMove>& moves) {
  int64_t count = 0;
  for (const GrowthMove& move : moves)
    if (move.is_new) count += move.box.count();
  return count;
}

}  // namespace nexus
