// Growth in the scale of what is trained: what makes a new channel is zero, and what reads one, the corner included, is
// drawn with the root mean square of the old matrix, or copied from it. Lossless, for what is read is zero; alive. Or
// all of it is drawn: lossless behind a mask only.
// For the channels of Nexus-Rank layers, and for the parameter tokens of a Tokenformer, whose n_scale stays.
#include "growth/growth_policy.h"

namespace nexus {
namespace {

class TrainedScale : public GrowthPolicy {
 public:
  TrainedScale(std::string name, std::string part) : name_(std::move(name)), part_(std::move(part)) {}
  std::string name() const override { return name_; }
  std::string grown_part() const override { return part_; }
  Entries new_entries(const GrowthBlock& block, const GrowthOptions&) const override {
    return block.consumes_new() ? reading(block) : Entries::zero();
  }

 private:
  virtual Entries reading(const GrowthBlock& block) const = 0;

  std::string name_, part_;
};

class Matched final : public TrainedScale {
  using TrainedScale::TrainedScale;
  Entries reading(const GrowthBlock&) const override { return Entries::normal_of_rms(1); }
};

class AllMatched final : public GrowthPolicy {
 public:
  AllMatched(std::string name, std::string part) : name_(std::move(name)), part_(std::move(part)) {}
  std::string name() const override { return name_; }
  std::string grown_part() const override { return part_; }
  Entries new_entries(const GrowthBlock&, const GrowthOptions&) const override { return Entries::normal_of_rms(1); }
  std::string why_lossy(const ModelConfig&) const override {
    return "the new channels contribute at once, without grow.mask";
  }

 private:
  std::string name_, part_;
};

// New row or column i copies old one i mod the old extent: distinct ones as long as the width at most doubles. The
// noise lets copies of one and the same column part.
class Copied final : public TrainedScale {
  using TrainedScale::TrainedScale;
  Entries reading(const GrowthBlock& block) const override {
    Copy copy;
    if (block.new_rows) copy.rows = in_turn(block.box.begin_row, block.box.rows, block.from.rows());
    if (block.new_columns) copy.columns = in_turn(block.box.begin_column, block.box.columns, block.from.columns());
    return {{copy}, 1e-3, true};
  }

  static std::vector<Pick> in_turn(int64_t begin, int64_t count, int64_t old) {
    std::vector<Pick> picks;
    for (int64_t i = begin; i < begin + count; ++i) picks.push_back({i % old});
    return picks;
  }
};

}  // namespace

std::vector<const GrowthPolicy*> trained_scale_policies() {
  static const Matched zero_rows_matched("zero_rows_matched", "channels");
  static const Copied zero_copy("zero_copy", "channels");
  static const Matched zero_key_matched("zero_key_matched", "parameter tokens");
  static const Copied zero_key_copy("zero_key_copy", "parameter tokens");
  static const AllMatched random_matched("random_matched", "channels");
  static const AllMatched random_key_matched("random_key_matched", "parameter tokens");
  return {&zero_rows_matched, &zero_copy, &random_matched, &zero_key_matched, &zero_key_copy, &random_key_matched};
}

}  // namespace nexus
