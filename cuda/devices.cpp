#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "core/units.h"
#include "cuda/devices.h"

namespace nexus {

std::vector<CudaDevice> cuda_devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();  // having no driver is an answer, not a pending error
    return {};
  }
  std::vector<CudaDevice> devices;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp facts{};
    if (cudaGetDeviceProperties(&facts, i) != cudaSuccess) {
      cudaGetLastError();
      devices.push_back({.name = "unknown", .uuid = ""});  // a place in the list is the index of a device
      continue;
    }
    std::string uuid;
    for (const char byte : facts.uuid.bytes) uuid += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    devices.push_back({facts.name, facts.major, facts.minor, static_cast<int64_t>(facts.totalGlobalMem), uuid});
  }
  return devices;
}

std::string cuda_description() {
  std::string text = fmt::format("CUDA {}.{}", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
  const std::vector<CudaDevice> devices = cuda_devices();
  if (devices.empty()) {
    int count = 0;
    const char* reason = cudaGetErrorString(cudaGetDeviceCount(&count));
    cudaGetLastError();
    return text + ", no device: " + reason;
  }
  text += fmt::format(", {} device{}:", devices.size(), devices.size() == 1 ? "" : "s");
  for (const CudaDevice& device : devices)
    text += fmt::format(" {} (sm_{}{}, {})", device.name, device.capability_major, device.capability_minor,
                        format_bytes(device.memory_bytes));
  return text;
}

}  // namespace nexus
