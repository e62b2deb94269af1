// Signals as whoever started this process left them.
#pragma once

#include <vector>

namespace nexus {

// Those of 1 to 31 that were ignored: by nohup (HUP), by a shell for what it starts in the background (INT). Read
// before any library can take one: UCX, which Open MPI loads where there is InfiniBand, takes HUP as soon as it is
// loaded.
std::vector<int> signals_ignored_at_start();

}  // namespace nexus
