// A list of workloads that takes the place of nexus' own (workloads/workloads.cpp) in programs that link this file:
// text and point sets.
#include "support/point_sets.h"
#include "workloads/text/text.h"

namespace nexus {

const std::vector<const Workload*>& all_workloads() {
  static const std::vector<const Workload*> all{&text_workload(), &testing::point_sets()};
  return all;
}

}  // namespace nexus
