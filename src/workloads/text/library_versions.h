// Versions of the libraries that read text.
#pragma once

#include <vector>

#include "core/library_version.h"

namespace nexus {

std::vector<LibraryVersion> data_libraries();

}  // namespace nexus
