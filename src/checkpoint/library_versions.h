// Versions of the libraries that checkpoints rest on.
#pragma once

#include <vector>

#include "core/library_version.h"

namespace nexus {

std::vector<LibraryVersion> checkpoint_libraries();

}  // namespace nexus
