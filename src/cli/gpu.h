// The GPUs' part of this build, as the commands see it: gpu.cpp, or gpu_stub.cpp in a build without CUDA.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/launch.h"
#include "core/library_version.h"

namespace nexus {

// open_device of "cuda".
Device open_gpu(bool deterministic, std::unique_ptr<Communicator> world);

std::string gpu_build();  // "CUDA 13.0, 1 device: ...", or why there is none; empty in a build without CUDA
int gpu_count();          // that this process sees
std::string own_gpu();    // name and number of the one that `nexus train` would take here; empty: none
std::vector<LibraryVersion> gpu_libraries();

}  // namespace nexus
