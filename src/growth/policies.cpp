// The registry of growth policies: a file in policies/, and a line here. Of those that fit an architecture the first is
// its default.
#include "growth/growth_policy.h"

namespace nexus {

using GrowthPolicies = std::vector<const GrowthPolicy*>;
GrowthPolicies channel_policies(), parameter_token_policies(), split_policies(), trained_scale_policies();

const GrowthPolicies& all_growth_policies() {
  static const GrowthPolicies all = [] {
    GrowthPolicies policies;
    for (const auto& of_file :
         {channel_policies(), parameter_token_policies(), trained_scale_policies(), split_policies()})
      policies.insert(policies.end(), of_file.begin(), of_file.end());
    return policies;
  }();
  return all;
}

}  // namespace nexus
