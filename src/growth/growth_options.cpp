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

}  // namespace

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
