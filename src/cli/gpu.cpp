#include "cli/gpu.h"

#include <omp.h>
#include <stdlib.h>

#include "core/error.h"
#include "core/host.h"
#include "cuda/cuda_backend.h"
#include "cuda/devices.h"
#include "cuda/library_versions.h"
#include "system/environment.h"
#include "system/launch_environment.h"

namespace nexus {
namespace {

// Where timed choices of kernels are remembered between runs.
std::string cache_folder() {
  for (const auto& [variable, below] :
       {std::pair{"NEXUS_CACHE", ""}, std::pair{"XDG_CACHE_HOME", "/nexus"}, std::pair{"HOME", "/.cache/nexus"}})
    if (const std::string folder = environment(variable); !folder.empty()) return folder + below;
  return "";
}

// Ranks of a node take its GPUs in turn. A launcher may also have given each rank its own (then it sees just one).
int device_of_rank(Communicator& world) {
  const std::vector<std::string> hosts = world.all_gather_text(host_name());
  int local_rank = 0;
  for (int rank = 0; rank < world.rank(); ++rank)
    local_rank += hosts[static_cast<size_t>(rank)] == hosts[static_cast<size_t>(world.rank())] ? 1 : 0;
  const int visible = gpu_count();
  if (visible <= 1 || local_rank < visible) return visible <= 1 ? 0 : local_rank;
  throw Error(
      ErrorKind::kConfig,
      fmt::format("rank {} is number {} on its node, which shows {} GPUs", world.rank(), local_rank + 1, visible),
      "--device cuda", "start one rank per GPU");
}

// NCCL's sums through NVLink multicast (NVLS) differ from call to call; what the user has set stands.
void ask_nccl_for_fixed_sums() {
  if (!find_environment("NCCL_ALGO")) ::setenv("NCCL_NVLS_ENABLE", "0", 0);
}

}  // namespace

Device open_gpu(bool deterministic, std::unique_ptr<Communicator> world) {
  omp_set_num_threads(threads_per_rank());  // of what the host still does: initial weights, digests
  if (deterministic) ask_nccl_for_fixed_sums();
  std::unique_ptr<Backend> backend = make_cuda_backend({device_of_rank(*world), deterministic, cache_folder()});
  std::unique_ptr<Communicator> devices = make_nccl_communicator(std::move(world), *backend);
  return {std::move(backend), std::move(devices)};
}

std::string gpu_build() {
  return cuda_description();
}

int gpu_count() {
  return static_cast<int>(cuda_devices().size());
}

// That of this rank's place on its node.
std::string own_gpu() {
  const std::vector<CudaDevice> devices = cuda_devices();
  if (devices.empty()) return "";
  const auto place = static_cast<size_t>(launch_environment().local_rank.value_or(0));
  const CudaDevice& device = devices[place % devices.size()];
  return device.name + " " + device.uuid;
}

std::vector<LibraryVersion> gpu_libraries() {
  return cuda_libraries();
}

}  // namespace nexus
