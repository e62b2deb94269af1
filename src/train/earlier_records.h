// Records that a fresh start moves out of its way: nothing that a run has written is ever overwritten.
#pragma once

#include <string>
#include <vector>

#include "core/run_folder.h"

namespace nexus {

// RUN/earlier, which holds 1, 2, ...
std::string earlier_folder(const RunFolder& run);

// Moves those of `paths` (files and folders of the run folder) that are there, and not empty files, into a new folder
// earlier/N, which then can be read like a run folder. Returns it; "" where there was nothing to move. Throws
// ErrorKind::kIo; what has been moved by then stays there.
std::string set_aside(const RunFolder& run, const std::vector<std::string>& paths);

}  // namespace nexus
