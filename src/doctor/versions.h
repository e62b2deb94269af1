// Whether the libraries that are loaded are those that nexus was compiled with.
#pragma once

#include <vector>

#include "core/library_version.h"
#include "doctor/finding.h"

namespace nexus {

std::vector<LibraryVersion> system_libraries();  // the C library
std::vector<Finding> judge_versions(const std::vector<LibraryVersion>& libraries);

}  // namespace nexus
