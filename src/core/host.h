// The machine that this process runs on.
#pragma once

#include <string>

namespace nexus {

// The system's own name for this host, "n04" or "n04.cluster"; no name service is asked. Equal on all ranks of a node.
std::string host_name();

}  // namespace nexus
