// Growth by channels of Nexus-Rank layers: which of the new entries are zero, and which are drawn.
#include "growth/growth_policy.h"

namespace nexus {
namespace {

const GrowthKey kColumnStd{"column_std", "standard deviation of the new entries that are not zero", 0.02, 100};

class Channels : public GrowthPolicy {
 public:
  std::string grown_part() const override { return "channels"; }
  std::vector<GrowthKey> keys() const override { return {kColumnStd}; }
  Entries new_entries(const GrowthBlock& block, const GrowthOptions& options) const override {
    return draws(block) ? Entries::normal(options.number(kColumnStd.name)) : Entries::zero();
  }

 private:
  virtual bool draws(const GrowthBlock& block) const = 0;
};

// Producing entries are zero, those that only consume are drawn: lossless and alive.
class ZeroRows final : public Channels {
  std::string name() const override { return "zero_rows"; }
  bool draws(const GrowthBlock& block) const override { return !block.produces_new(); }
};

// The paper's equations as printed: lossless and dead.
class ZeroAll final : public Channels {
  std::string name() const override { return "zero_all"; }
  bool draws(const GrowthBlock&) const override { return false; }
  bool alive() const override { return false; }
};

// Producing entries are drawn, consuming ones zero: lossless without norm only.
class ZeroColumns final : public Channels {
  std::string name() const override { return "zero_columns"; }
  bool draws(const GrowthBlock& block) const override { return !block.consumes_new(); }
  std::string why_lossy(const ModelConfig& model) const override {
    return model.word("norm") == "l2" ? "norm l2 sees the new rows" : "";
  }
};

// The ablation.
class Random final : public Channels {
  std::string name() const override { return "random"; }
  bool draws(const GrowthBlock&) const override { return true; }
  std::string why_lossy(const ModelConfig&) const override { return "the new channels contribute at once"; }
};

}  // namespace

std::vector<const GrowthPolicy*> channel_policies() {
  static const ZeroRows zero_rows;
  static const ZeroAll zero_all;
  static const ZeroColumns zero_columns;
  static const Random random;
  return {&zero_rows, &zero_all, &zero_columns, &random};
}

}  // namespace nexus
