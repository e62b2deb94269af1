// The workloads that nexus has: the one list of them.
#include "workloads/text/text.h"

namespace nexus {

const std::vector<const Workload*>& all_workloads() {
  static const std::vector<const Workload*> all{&text_workload()};
  return all;
}

}  // namespace nexus
