#include "growth/growth_plan.h"

#include "core/error.h"

namespace nexus {
namespace {

struct Extents {
  int64_t rows = 1, columns = 1;
  Axis row_axis, column_axis{1, kFixedWidth, AxisRole::kProduces};
};

Extents extents_of(const ParamSpec& spec) {
  Extents e;
  e.row_axis = spec.axes[0];
  if (spec.axes.size() == 2) e.column_axis = spec.axes[1];
  e.rows = spec.rows();
  e.columns = spec.columns();
  return e;
}

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

// What fills a new rectangle whose entries produce new channels, consume new channels, or both (the corner).
Fill fill_of(GrowthInit init, bool produces_new, bool consumes_new) {
  switch (init) {
    case GrowthInit::kZeroAll: return Fill::kZero;
    case GrowthInit::kRandom:
    case GrowthInit::kReleased: return Fill::kNormal;
    case GrowthInit::kZeroColumns: return consumes_new ? Fill::kZero : Fill::kNormal;
    case GrowthInit::kZeroRows:
    case GrowthInit::kZeroKey:
    case GrowthInit::kZeroKeyFixedScale: return produces_new ? Fill::kZero : Fill::kNormal;
  }
  return Fill::kZero;
}

bool is_tokenformer_policy(GrowthInit init) {
  return init == GrowthInit::kReleased || init == GrowthInit::kZeroKey || init == GrowthInit::kZeroKeyFixedScale;
}

class TensorPlanner {
 public:
  TensorPlanner(const ParamSpec& from, const ParamSpec& to, int from_index, int to_index, const GrowthOptions& options)
      : spec_(to), old_(extents_of(from)), new_(extents_of(to)), from_(from_index), to_(to_index), options_(options) {}

  void plan(std::vector<GrowthMove>& moves) const {
    add(moves, 0, old_.rows, 0, old_.columns, false, false);
    add(moves, 0, old_.rows, old_.columns, new_.columns, false, true);
    add(moves, old_.rows, new_.rows, 0, old_.columns, true, false);
    add(moves, old_.rows, new_.rows, old_.columns, new_.columns, true, true);
  }

 private:
  void add(std::vector<GrowthMove>& moves, int64_t r0, int64_t r1, int64_t c0, int64_t c1, bool new_row,
           bool new_column) const {
    if (r0 == r1 || c0 == c1) return;
    GrowthMove move{from_, to_, r0, r1, c0, c1, Fill::kCopy, 0, ""};
    if (new_row || new_column) {
      const bool row_produces = new_.row_axis.role == AxisRole::kProduces;
      const bool column_produces = new_.column_axis.role == AxisRole::kProduces;
      const bool produces = (new_row && row_produces) || (new_column && column_produces);
      const bool consumes = (new_row && !row_produces) || (new_column && !column_produces);
      move.fill = fill_of(options_.init, produces, consumes);
      move.std = is_tokenformer_policy(options_.init) ? spec_.init_std : options_.column_std;
      move.block = fmt::format("{}[rows {}:{}, columns {}:{}]", spec_.name, r0, r1, c0, c1);
    }
    moves.push_back(std::move(move));
  }

  const ParamSpec& spec_;
  Extents old_, new_;
  int from_, to_;
  const GrowthOptions& options_;
};

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
    require_compatible(from[old_index], to[index]);
    TensorPlanner(from[old_index], to[index], old_index, index, options).plan(moves);
  }
  return moves;
}

int64_t new_parameters(const std::vector<GrowthMove>& moves) {
  int64_t count = 0;
  for (const GrowthMove& move : moves)
    if (move.fill != Fill::kCopy) count += move.count();
  return count;
}

}  // namespace nexus
