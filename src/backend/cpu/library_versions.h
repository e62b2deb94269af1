// Versions of the matrix libraries of the CPU's back end.
#pragma once

#include <vector>

#include "core/library_version.h"

namespace nexus {

std::vector<LibraryVersion> cpu_libraries();

}  // namespace nexus
