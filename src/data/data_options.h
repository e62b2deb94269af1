// Which token files a run reads, and how.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nexus {

struct DatasetRef {
  std::string path;     // prefix of PATH.bin and PATH.idx
  double weight = 1.0;  // share of the samples, relative to the other datasets
};

struct DataOptions {
  std::vector<DatasetRef> train;
  std::string valid;       // prefix of the held-out token file; empty: no evaluation
  int64_t context = 1024;  // T: tokens per sample
};

}  // namespace nexus
