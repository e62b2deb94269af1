// Which data a run reads, and how.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nexus {

struct DatasetRef {
  std::string path;     // as the workload opens it: of text the prefix of PATH.bin and PATH.idx
  double weight = 1.0;  // share of the samples, relative to the other datasets
};

struct DataOptions {
  std::vector<DatasetRef> train;
  std::string valid;       // of the held-out data; empty: no evaluation
  int64_t context = 1024;  // T: positions per sample
};

}  // namespace nexus
