// Growth of a Tokenformer by parameter tokens. What is drawn has the deviation of the initial values.
#include "growth/growth_policy.h"
#include "model/architecture.h"

namespace nexus {
namespace {

// Keys of new tokens are zero, their values drawn, and n_scale stays: lossless and alive.
class ZeroKeyFixedScale : public GrowthPolicy {
 public:
  std::string name() const override { return "zero_key_fixed_scale"; }
  std::string grown_part() const override { return "parameter tokens"; }
  Entries new_entries(const GrowthBlock& block, const GrowthOptions&) const override {
    return block.produces_new() ? Entries::zero() : Entries::normal(block.to.init_std);
  }
};

// The same, but n_scale is the grown number of tokens.
class ZeroKey : public ZeroKeyFixedScale {
 public:
  std::string name() const override { return "zero_key"; }
  void set_constants(ModelConfig& grown) const override {
    for (const ModelKey& key : architecture(grown.arch).keys())
      if (!key.at_birth.empty()) grown.counts[key.name] = grown.count(key.at_birth);
  }
  bool only_adds() const override { return false; }
  std::string why_lossy(const ModelConfig&) const override { return "the scale grows with the number of tokens"; }
};

// The published loader: keys are drawn as well.
class Released final : public ZeroKey {
  std::string name() const override { return "released"; }
  Entries new_entries(const GrowthBlock& block, const GrowthOptions&) const override {
    return Entries::normal(block.to.init_std);
  }
  std::string why_lossy(const ModelConfig&) const override { return "the new keys are random and the scale grows"; }
};

}  // namespace

std::vector<const GrowthPolicy*> parameter_token_policies() {
  static const ZeroKeyFixedScale zero_key_fixed_scale;
  static const ZeroKey zero_key;
  static const Released released;
  return {&zero_key_fixed_scale, &zero_key, &released};
}

}  // namespace nexus
