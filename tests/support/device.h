// The back end that a test program is compiled for: the CPU's, or with NEXUS_TEST_CUDA that of one GPU. The same tests
// of operations, models and grids serve both.
#pragma once

#include <cstdlib>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "comm/communicator.h"
#ifdef NEXUS_TEST_CUDA
#include "cuda/cuda_backend.h"
#include "cuda/devices.h"
#endif

namespace nexus::testing {

#ifdef NEXUS_TEST_CUDA
inline constexpr bool kOnGpu = true;
inline const std::vector<DType> kComputeTypes = {DType::kF32, DType::kBF16};

// Deterministic: tests that compare bits must not depend on timings.
inline Backend& device() {
  static const std::unique_ptr<Backend> backend = [] {
    const char* local_rank = std::getenv("OMPI_COMM_WORLD_LOCAL_RANK");
    return make_cuda_backend({local_rank == nullptr ? 0 : std::atoi(local_rank), true, ""});
  }();
  return *backend;
}
// The ranks of `world` for tensors of `device`.
inline std::unique_ptr<Communicator> on_device(std::unique_ptr<Communicator> world) {
  return make_nccl_communicator(std::move(world), device());
}
#else
inline constexpr bool kOnGpu = false;
inline const std::vector<DType> kComputeTypes = {DType::kF32, DType::kBF16, DType::kF64};

// As many threads as OMP_NUM_THREADS says: two where the sharing of work is what is tested (tests/CMakeLists.txt).
inline Backend& device() {
  static const std::unique_ptr<Backend> backend = make_cpu_backend();
  return *backend;
}
inline std::unique_ptr<Communicator> on_device(std::unique_ptr<Communicator> world) {
  return world;
}
#endif

}  // namespace nexus::testing

// Leaves a test that has no meaning on a GPU.
#define NX_CPU_ONLY(reason) \
  if (::nexus::testing::kOnGpu) GTEST_SKIP() << reason
// Finite differences need f64; GPUs are held against the CPU's operations anyway.
#define NX_NEEDS_F64() NX_CPU_ONLY("GPUs compute in f32 and bf16")
