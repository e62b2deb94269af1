// What this device does at best, measured in the run that is compared with it.
#pragma once

#include <cstdint>

#include "backend/backend.h"

namespace nexus {

struct Ceilings {
  int64_t gemm_size = 0;             // of a square product in the compute type, on random data
  double gemm_flops_per_second = 0;  // best of several rounds
  int64_t copy_bytes = 0;            // size of one of the two buffers of a copy
  double copy_bytes_per_second = 0;  // read plus written, best of several rounds
};

// Takes buffers for the time of the measurement: about 0.8 GB and 2 GB on a GPU, 70 MB and 0.5 GB on a processor.
Ceilings measure_ceilings(Backend& backend, DType compute);

}  // namespace nexus
