// A build without CUDA.
#include "cli/gpu.h"
#include "core/error.h"

namespace nexus {

Device open_gpu(bool, std::unique_ptr<Communicator>) {
  throw Error(ErrorKind::kConfig, "this nexus was built without CUDA", "--device cuda",
              "build the preset `cuda` (scripts/build cuda), or use --device cpu");
}

std::string gpu_build() {
  return "";
}
int gpu_count() {
  return 0;
}
std::string own_gpu() {
  return "";
}
std::vector<LibraryVersion> gpu_libraries() {
  return {};
}

}  // namespace nexus
