// Net2Wider (Chen et al. 2016) with unequal parts for Nexus-Rank layers: a new channel is a copy of an old one, and who
// read that one reads it and its copy, 1 : 2, so that they part (docs/growth.md).
#include <cmath>

#include "growth/growth_policy.h"

namespace nexus {
namespace {

// Channel i of the grown axis is a copy of old channel i mod `old`; of the n that are one and the same, the k-th (from
// 0) gets the share (k + 1) / (1 + ... + n).
double share_of(int64_t channel, int64_t old, int64_t grown) {
  const int64_t number = channel / old + 1, all = (grown - 1 - channel % old) / old + 1;
  return 2 * static_cast<double>(number) / static_cast<double>(all * (all + 1));
}

// A row that makes a channel is copied as it is, or all of them are scaled by sqrt(old / grown), and its gradient
// shrinks to the channel's share; a column that reads one shrinks, and its gradient stays.
std::vector<Pick> picks(const Axis& from, const Axis& to, int64_t begin, int64_t count, bool scaled) {
  std::vector<Pick> picks;
  if (from.extent == to.extent) return picks;
  const double scale = scaled ? std::sqrt(static_cast<double>(from.extent) / static_cast<double>(to.extent)) : 1;
  for (int64_t i = begin; i < begin + count; ++i) {
    const double share = share_of(i, from.extent, to.extent);
    const int64_t index = i % from.extent;
    picks.push_back(to.role == AxisRole::kProduces ? Pick{index, scale, share / scale} : Pick{index, share, 1});
  }
  return picks;
}

class Split : public GrowthPolicy {
 public:
  std::string name() const override { return "split"; }
  std::string grown_part() const override { return "channels"; }
  Entries old_entries(const GrowthBlock& block, const GrowthOptions&) const override { return copied(block); }
  Entries new_entries(const GrowthBlock& block, const GrowthOptions&) const override { return copied(block); }
  bool only_adds() const override { return false; }
  std::string why_lossy(const ModelConfig& model) const override {
    return model.word("norm") == "l2" ? "norm l2 sees the copied rows" : "";
  }

 private:
  Entries copied(const GrowthBlock& block) const {
    const Box& box = block.box;
    Copy copy;
    copy.rows = picks(block.from.axes[0], block.to.axes[0], box.begin_row, box.rows, scales_norms());
    if (block.to.axes.size() == 2)
      copy.columns = picks(block.from.axes[1], block.to.axes[1], box.begin_column, box.columns, scales_norms());
    return {{copy}, 0};
  }
};

// The same for norm l2: rows keep the length of h, and the norm's scale grows so that channels keep their size.
class SplitScaledNorm final : public Split {
  std::string name() const override { return "split_scaled_norm"; }
  bool scales_norms() const override { return true; }
  std::string why_lossy(const ModelConfig& model) const override {
    if (model.word("norm") != "l2") return "without norm l2 no scale makes up for the scaled rows";
    return "norm l2 sees which rows are copied, unless every width grows by a whole factor";
  }
};

}  // namespace

std::vector<const GrowthPolicy*> split_policies() {
  static const Split split;
  static const SplitScaledNorm split_scaled_norm;
  return {&split, &split_scaled_norm};
}

}  // namespace nexus
