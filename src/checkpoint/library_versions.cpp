#include "checkpoint/library_versions.h"

#include <fmt/format.h>

#include "checkpoint/hdf5_handle.h"

namespace nexus {

std::vector<LibraryVersion> checkpoint_libraries() {
  // Not hdf5_version: HDF5 ends a program whose headers do not fit as soon as it is initialised, this call tells
  // before.
  const Hdf5Lock lock;
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return {{"HDF5", fmt::format("{}.{}.{}", H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE),
           fmt::format("{}.{}.{}", major, minor, release)}};
}

}  // namespace nexus
