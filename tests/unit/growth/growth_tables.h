// A small parameter table with a matrix that grows along one axis, one that grows along both, and one that does not
// grow; and a growth policy written on the spot.
#pragma once

#include <functional>
#include <utility>

#include "growth/growth_policy.h"

namespace nexus::testing {

inline ParamTable table_of(int64_t m, int64_t a, int64_t d = 4) {
  ParamTable table;
  ParamSpec w_m, w_a, norm;
  w_m.name = "w_m";
  w_m.axes = {{m, "M", AxisRole::kProduces}, {d, kFixedWidth, AxisRole::kConsumes}};
  w_a.name = "w_a";
  w_a.axes = {{a, "A", AxisRole::kProduces}, {m, "M", AxisRole::kConsumes}};
  norm.name = "norm";
  norm.axes = {{d}};
  table.add(w_m);
  table.add(w_a);
  table.add(norm);
  return table;
}

class PolicyOf final : public GrowthPolicy {
 public:
  using Rule = std::function<Entries(const GrowthBlock&)>;
  PolicyOf(Rule of_old, Rule of_new, bool with_moments = false)
      : old_(std::move(of_old)), new_(std::move(of_new)), with_moments_(with_moments) {}

  std::string name() const override { return "here"; }
  std::string grown_part() const override { return "channels"; }
  std::map<std::string, std::string> presets() const override { return {{"grow.new.warmup", "5%"}}; }
  Entries old_entries(const GrowthBlock& block, const GrowthOptions&) const override { return old_(block); }
  Entries new_entries(const GrowthBlock& block, const GrowthOptions&) const override { return new_(block); }
  bool copies_moments() const override { return with_moments_; }

 private:
  Rule old_, new_;
  bool with_moments_;
};

inline Entries same(const GrowthBlock&) {
  return Entries::same();
}
inline Entries zero(const GrowthBlock&) {
  return Entries::zero();
}

}  // namespace nexus::testing
