// A build without oneDNN: OpenBLAS multiplies everything.
#include "backend/cpu/matmul.h"

namespace nexus::cpu {

std::unique_ptr<OneDnnMatmul> OneDnnMatmul::make() {
  return nullptr;
}

std::vector<LibraryVersion> onednn_libraries() {
  return {};
}

}  // namespace nexus::cpu
