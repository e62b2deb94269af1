// The back end of NVIDIA GPUs: f32 and bf16 compute, f32 master weights and reductions (backend/backend.h has the
// contract). cuBLASLt multiplies matrices, cuDNN attends, our own kernels do the rest (cuda/device.h).
//
// Operations are launched on one stream and return at once; copy_out and synchronize wait. f64 is refused.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"
#include "comm/communicator.h"

namespace nexus {

struct CudaOptions {
  int device = 0;              // of those that this process sees
  bool deterministic = false;  // bit-identical reruns on one grid, device kind and library versions
  std::string cache_folder;    // remembers timed choices of kernels; empty: nothing is remembered
};

// Throws ErrorKind::kConfig where there is no such device, naming the reason and the cure.
std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options);

// The same ranks for tensors in the memory of `backend`, a back end of make_cuda_backend: collectives on tensors go
// through NCCL on a stream of their own, all else through `hosts`. Collective over `hosts`. Throws ErrorKind::kConfig
// where there is more than one rank and NCCL is not in this build, or where two ranks would share a GPU.
std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> hosts, Backend& backend);

}  // namespace nexus
