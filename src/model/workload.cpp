#include "model/workload.h"

#include <fmt/ranges.h>

#include "core/units.h"

namespace nexus {

const Workload& workload(const std::string& name) {
  std::vector<std::string> names;
  for (const Workload* each : all_workloads()) {
    if (each->name() == name) return *each;
    names.push_back(each->name());
  }
  const std::string near = nearest(name, names);
  throw Error(ErrorKind::kConfig, fmt::format("there is no workload '{}'", name), "data.workload",
              near.empty() ? fmt::format("use {}", fmt::join(names, " or ")) : "did you mean " + near + "?");
}

}  // namespace nexus
