// A mapped file whose bytes cannot be had: the disk fails (EIO), or somebody has cut the file short. The system says so
// with the signal SIGBUS in the middle of whatever touches them.
#pragma once

#include <cstddef>
#include <string>

namespace nexus {

// From now on such a fault in these bytes ends the process with the exit code of ErrorKind::kIo and one line that names
// the file, as an error of reading would; SIGBUS elsewhere does what it did before.
void watch_mapping(const void* data, size_t size_bytes, const std::string& path);
void unwatch_mapping(const void* data);

}  // namespace nexus
