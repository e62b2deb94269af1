// Versions of the driver and the libraries that the CUDA back end uses.
#pragma once

#include <vector>

#include "core/library_version.h"

namespace nexus {

// Asks no device, so it works without one; a driver that is not there is loaded as "none".
std::vector<LibraryVersion> cuda_libraries();

}  // namespace nexus
