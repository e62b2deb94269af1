#include "growth/growth_options.h"

#include "core/error.h"
#include "core/units.h"

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

std::string why_lossy(GrowthInit init, NormKind norm) {
  switch (init) {
    case GrowthInit::kZeroColumns: return norm == NormKind::kL2 ? "norm l2 sees the new rows" : "";
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
  const bool for_tokens = options.init == GrowthInit::kReleased || options.init == GrowthInit::kZeroKey ||
                          options.init == GrowthInit::kZeroKeyFixedScale;
  if (for_tokens != (model.arch == Arch::kTokenformer))
    return PolicyProblem{
        fmt::format("init {} belongs to {}", init, for_tokens ? "arch tokenformer" : "arch nexusformer"),
        for_tokens ? "use zero_rows, zero_all, zero_columns or random"
                   : "use zero_key_fixed_scale, zero_key or released"};
  if (options.init == GrowthInit::kZeroAll && !options.allow_dead)
    return PolicyProblem{"init zero_all gives new blocks whose gradient is zero for ever",
                         "use zero_rows, or set allow_dead: true"};
  const std::string reason = why_lossy(options.init, model.norm);
  if (options.lossless && !reason.empty())
    return PolicyProblem{
        fmt::format("init {} cannot be lossless: {}", init, reason),
        fmt::format("set grow.lossless: false, or use {}", for_tokens ? "zero_key_fixed_scale" : "zero_rows")};
  return std::nullopt;
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
