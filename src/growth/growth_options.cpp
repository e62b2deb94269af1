#include "growth/growth_options.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "core/error.h"
#include "core/units.h"
#include "model/architecture.h"

namespace nexus {
namespace {

// The value among [0, count) whose name is `name`.
template <typename Policy>
Policy by_name(const std::string& name, int count, const char* key) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) {
    names.push_back(name_of(static_cast<Policy>(i)));
    if (names.back() == name) return static_cast<Policy>(i);
  }
  const std::string near = nearest(name, names);
  throw Error(ErrorKind::kConfig, fmt::format("unknown policy '{}'", name), key,
              near.empty() ? "use one of those that `nexus grow --help` lists" : "did you mean " + near + "?");
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::vector<std::string> architectures_with(const std::string& init) {
  std::vector<std::string> names;
  for (const Architecture* each : all_architectures())
    if (contains(each->growth_inits(), init)) names.push_back(each->name());
  return names;
}

std::string why_lossy(GrowthInit init, const std::string& norm) {
  switch (init) {
    case GrowthInit::kZeroColumns: return norm == "l2" ? "norm l2 sees the new rows" : "";
    case GrowthInit::kRandom: return "the new channels contribute at once";
    case GrowthInit::kReleased: return "the new keys are random and the scale grows";
    case GrowthInit::kZeroKey: return "the scale grows with the number of tokens";
    case GrowthInit::kZeroRows:
    case GrowthInit::kZeroAll:
    case GrowthInit::kZeroKeyFixedScale: break;
  }
  return "";
}

}  // namespace

std::optional<PolicyProblem> policy_problem(const GrowthOptions& options, const ModelConfig& model) {
  const std::string init = name_of(options.init);
  const std::vector<std::string> fitting = architecture(model.arch).growth_inits();
  if (!contains(fitting, init))
    return PolicyProblem{fmt::format("init {} belongs to arch {}", init, fmt::join(architectures_with(init), " and ")),
                         fmt::format("use {}", fmt::join(fitting, " or "))};
  if (options.init == GrowthInit::kZeroAll && !options.allow_dead)
    return PolicyProblem{"init zero_all gives new blocks whose gradient is zero for ever",
                         "use zero_rows, or set allow_dead: true"};
  const std::string reason = why_lossy(options.init, model.word("norm"));
  if (options.lossless && !reason.empty())
    return PolicyProblem{fmt::format("init {} cannot be lossless: {}", init, reason),
                         "set grow.lossless: false, or use " + fitting.front()};
  return std::nullopt;
}

bool draws_by_column_std(GrowthInit init) {
  return init == GrowthInit::kZeroRows || init == GrowthInit::kZeroColumns || init == GrowthInit::kRandom;
}

std::string name_of(GrowthInit init) {
  switch (init) {
    case GrowthInit::kZeroRows: return "zero_rows";
    case GrowthInit::kZeroAll: return "zero_all";
    case GrowthInit::kZeroColumns: return "zero_columns";
    case GrowthInit::kRandom: return "random";
    case GrowthInit::kReleased: return "released";
    case GrowthInit::kZeroKey: return "zero_key";
    case GrowthInit::kZeroKeyFixedScale: return "zero_key_fixed_scale";
  }
  return "?";
}

std::string name_of(MomentPolicy policy) {
  switch (policy) {
    case MomentPolicy::kKeep: return "keep";
    case MomentPolicy::kKeepV: return "keep_v";
    case MomentPolicy::kReset: return "reset";
  }
  return "?";
}

GrowthInit growth_init(const std::string& name) {
  return by_name<GrowthInit>(name, 7, "init");
}

MomentPolicy moment_policy(const std::string& name) {
  return by_name<MomentPolicy>(name, 3, "optimizer");
}

}  // namespace nexus
