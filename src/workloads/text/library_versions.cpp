#include "workloads/text/library_versions.h"

#include <lzma.h>
#include <zstd.h>

namespace nexus {

std::vector<LibraryVersion> data_libraries() {
  return {{"zstd", ZSTD_VERSION_STRING, ZSTD_versionString()}, {"liblzma", LZMA_VERSION_STRING, lzma_version_string()}};
}

}  // namespace nexus
