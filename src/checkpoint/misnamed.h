// What lies under a name that is no checkpoint's, in words: users name the run, or forget a folder.
#pragma once

#include <string>

namespace nexus {

// For a `path` without a manifest. Throws ErrorKind::kCheckpoint: there is nothing of this name, or it is a run, or one
// of the folders between a run and its checkpoints (then the newest one below is named), or the rest of a checkpoint.
[[noreturn]] void throw_no_checkpoint(const std::string& path);

}  // namespace nexus
