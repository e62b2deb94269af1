// Facts about this build for `nexus --version` and run.json.
#pragma once

#include <string>

namespace nexus {

std::string version();      // "0.1.0 (commit 1a2b3c4)"
std::string build_facts();  // several lines: compiler, flags, libraries

}  // namespace nexus
