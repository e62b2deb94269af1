#include "growth/growth_policy.h"

#include <algorithm>

#include "model/architecture.h"

namespace nexus {

bool GrowthBlock::has_new(AxisRole role) const {
  // A vector is one column, which is never new.
  return (new_rows && to.axes[0].role == role) || (new_columns && to.axes[1].role == role);
}

bool Entries::are_same() const {
  return std == 0 && copies.size() == 1 && copies[0].rows.empty() && copies[0].columns.empty();
}

std::vector<const GrowthPolicy*> growth_policies_for(const std::string& grown_part) {
  std::vector<const GrowthPolicy*> fitting;
  for (const GrowthPolicy* each : all_growth_policies())
    if (each->grown_part() == grown_part) fitting.push_back(each);
  return fitting;
}

const GrowthPolicy& growth_policy(const std::string& name) {
  std::vector<std::string> names;
  for (const GrowthPolicy* each : all_growth_policies()) names.push_back(each->name());
  return *all_growth_policies()[policy_index(name, names, "init")];
}

std::vector<std::string> architectures_of(const GrowthPolicy& policy) {
  std::vector<std::string> names;
  for (const Architecture* each : all_architectures())
    if (each->grown_part() == policy.grown_part()) names.push_back(each->name());
  return names;
}

std::string describe_growth_policies() {
  const std::string usual = architecture(ModelConfig{}.arch).grown_part();
  std::map<std::string, std::string> texts;  // of each grown part
  for (const GrowthPolicy* each : all_growth_policies()) {
    std::string& text = texts[each->grown_part()];
    if (!text.empty())
      text += ", ";
    else if (each->grown_part() != usual)
      text = fmt::format("; {}: ", fmt::join(architectures_of(*each), " and "));
    text += each->name();
  }
  std::string text = texts[usual];
  texts.erase(usual);
  for (const auto& [part, others] : texts) text += others;
  return text;
}

std::vector<GrowthKey> growth_keys(const std::vector<const GrowthPolicy*>& policies) {
  std::vector<GrowthKey> keys;
  for (const GrowthPolicy* policy : policies)
    for (const GrowthKey& key : policy->keys())
      if (std::none_of(keys.begin(), keys.end(), [&](const GrowthKey& each) { return each.name == key.name; }))
        keys.push_back(key);
  return keys;
}

}  // namespace nexus
