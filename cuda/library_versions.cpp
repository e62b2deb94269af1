#include "cuda/library_versions.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "cuda/cudnn_attention.h"
#include "cuda/nccl_session.h"

namespace nexus {
namespace {

// 13000 -> "13.0", as CUDA counts.
std::string cuda_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

// 130100 -> "13.1.0", as cuBLAS counts.
std::string three_parts(size_t version) {
  return fmt::format("{}.{}.{}", version / 10000, version % 10000 / 100, version % 100);
}

}  // namespace

std::vector<LibraryVersion> cuda_libraries() {
  int runtime = 0, driver = 0;
  if (cudaRuntimeGetVersion(&runtime) != cudaSuccess) cudaGetLastError();
  if (cudaDriverGetVersion(&driver) != cudaSuccess) cudaGetLastError();
  std::vector<LibraryVersion> libraries{{"CUDA runtime", cuda_text(CUDART_VERSION), cuda_text(runtime)},
                                        {"CUDA of the driver", "", driver == 0 ? "none" : cuda_text(driver)},
                                        {"cuBLASLt", three_parts(CUBLAS_VERSION), three_parts(cublasLtGetVersion())}};
  for (const auto& some : {cuda::cudnn_libraries(), cuda::nccl_libraries()})
    libraries.insert(libraries.end(), some.begin(), some.end());
  return libraries;
}

}  // namespace nexus
