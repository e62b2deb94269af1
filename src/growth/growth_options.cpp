#include "growth/growth_options.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "core/error.h"
#include "core/units.h"
#include "growth/growth_policy.h"
#include "model/architecture.h"

namespace nexus {

double GrowthOptions::number(const std::string& name) const {
  if (const auto given = numbers.find(name); given != numbers.end()) return given->second;
  for (const GrowthKey& key : policy->keys())
    if (key.name == name) return key.preset;
  NX_CHECK(false, "{} has no number {}", policy->name(), name);
}

std::optional<PolicyProblem> policy_problem(const GrowthOptions& options, const ModelConfig& model) {
  const GrowthPolicy& policy = *options.policy;
  const std::string init = policy.name(), part = architecture(model.arch).grown_part();
  std::vector<std::string> fitting;
  for (const GrowthPolicy* each : growth_policies_for(part)) fitting.push_back(each->name());
  if (policy.grown_part() != part)
    return PolicyProblem{fmt::format("init {} belongs to arch {}", init, fmt::join(architectures_of(policy), " and ")),
                         fmt::format("use {}", fmt::join(fitting, " or "))};
  if (!policy.alive() && !options.allow_dead)
    return PolicyProblem{fmt::format("init {} gives new blocks whose gradient is zero for ever", init),
                         fmt::format("use {}, or set allow_dead: true", fitting.front())};
  if (policy.scales_norms() && options.norm_scale)
    return PolicyProblem{fmt::format("init {} takes the norms' scale to the new widths at once", init),
                         "remove grow.norm_scale"};
  if (options.mask && !policy.only_adds())
    return PolicyProblem{
        fmt::format("init {} changes more than the new channels, and grow.mask hides only those", init),
        "remove grow.mask, or use another init"};
  const std::string reason = options.mask ? "" : policy.why_lossy(model);
  if (options.lossless && !reason.empty())
    return PolicyProblem{fmt::format("init {} cannot be lossless: {}", init, reason),
                         "set grow.lossless: false, or use " + fitting.front()};
  return std::nullopt;
}

std::optional<WidthProblem> width_problem(const GrowthOptions& options, const ModelConfig& model) {
  const std::vector<Width> growable = model.growable_widths();
  bool larger = false;
  for (const auto& [width, value] : options.widths) {
    if (std::find(growable.begin(), growable.end(), width) == growable.end())
      return WidthProblem{width, fmt::format("a {} does not grow along {}", model.arch, width),
                          growable.empty() ? "grow a model of another architecture"
                                           : fmt::format("use {}", fmt::join(growable, " or "))};
    const int64_t before = model.width(width);
    if (value < before)
      return WidthProblem{width, fmt::format("{} would shrink from {} to {}", width, before, value),
                          fmt::format("growth only adds: write at least {}", before)};
    larger = larger || value > before;
  }
  if (larger) return std::nullopt;
  return WidthProblem{"", "this growth changes no width", "enlarge one of the widths"};
}

std::string name_of(MomentPolicy policy) {
  switch (policy) {
    case MomentPolicy::kKeep: return "keep";
    case MomentPolicy::kKeepV: return "keep_v";
    case MomentPolicy::kReset: return "reset";
  }
  return "?";
}

MomentPolicy moment_policy(const std::string& name) {
  return static_cast<MomentPolicy>(policy_index(name, {"keep", "keep_v", "reset"}, "optimizer"));
}

size_t policy_index(const std::string& name, const std::vector<std::string>& names, const char* key) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<size_t>(found - names.begin());
  const std::string near = nearest(name, names);
  throw Error(ErrorKind::kConfig, fmt::format("unknown policy '{}'", name), key,
              near.empty() ? "use one of those that `nexus grow --help` lists" : "did you mean " + near + "?");
}

}  // namespace nexus
