#include "cuda/library_versions.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>
#ifdef NEXUS_WITH_CUDNN
#include <cudnn.h>
#endif
#ifdef NEXUS_WITH_NCCL
#include <nccl.h>
#endif

namespace nexus {
namespace {

// 13000 -> "13.0", as CUDA counts.
std::string cuda_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

// Major, minor and patch in one number: 91300 with `unit` 10000 is "9.13.0".
std::string three_parts(long version, long unit) {
  return fmt::format("{}.{}.{}", version / unit, version % unit / 100, version % 100);
}

}  // namespace

std::vector<LibraryVersion> cuda_libraries() {
  int runtime = 0, driver = 0;
  if (cudaRuntimeGetVersion(&runtime) != cudaSuccess) cudaGetLastError();
  if (cudaDriverGetVersion(&driver) != cudaSuccess) cudaGetLastError();
  std::vector<LibraryVersion> libraries{
      {"CUDA runtime", cuda_text(CUDART_VERSION), cuda_text(runtime)},
      {"CUDA of the driver", "", driver == 0 ? "none" : cuda_text(driver)},
      {"cuBLASLt", three_parts(CUBLAS_VERSION, 10000), three_parts(static_cast<long>(cublasLtGetVersion()), 10000)}};
#ifdef NEXUS_WITH_CUDNN
  libraries.push_back(
      {"cuDNN", three_parts(CUDNN_VERSION, 10000), three_parts(static_cast<long>(cudnnGetVersion()), 10000)});
#endif
#ifdef NEXUS_WITH_NCCL
  int nccl = 0;
  if (ncclGetVersion(&nccl) == ncclSuccess)
    libraries.push_back({"NCCL", three_parts(NCCL_VERSION_CODE, 10000), three_parts(nccl, 10000)});
#endif
  return libraries;
}

}  // namespace nexus
