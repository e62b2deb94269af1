// The GPUs that this process can see. The first part of the CUDA back end: everything else of it asks here for its
// device.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nexus {

struct CudaDevice {
  std::string name;  // "NVIDIA H200"
  int capability_major = 0, capability_minor = 0;
  int64_t memory_bytes = 0;
  std::string uuid;  // 32 hexadecimal digits; a MIG instance has its own
};

// By their index; one that gives no answer is "unknown". Empty where there is no GPU or no driver: asking is never an
// error.
std::vector<CudaDevice> cuda_devices();

// "CUDA 13.0, 1 device: NVIDIA H200 (sm_90, 150.1 GB)", or the reason why there is none.
std::string cuda_description();

}  // namespace nexus
