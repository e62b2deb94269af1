#include "cli/build_facts.h"

#include <fmt/format.h>

#include "backend/backend.h"
#include "cli/build_info.h"
#include "comm/communicator.h"
#ifdef NEXUS_CUDA
#include "cuda/devices.h"
#endif

namespace nexus {
namespace {

std::string cuda_facts() {
#ifdef NEXUS_CUDA
  return cuda_description();
#else
  return "not built (preset `cuda` builds it)";
#endif
}

}  // namespace

std::string version() {
  return fmt::format("{} (commit {})", NX_VERSION, NX_COMMIT);
}

std::string build_facts() {
  return fmt::format(
      "nexus {}\n"
      "compiler  {}\n"
      "build     {}, -march={}{}\n"
      "cpu       {}\n"
      "mpi       {}\n"
      "hdf5      {}\n"
      "cuda      {}\n",
      version(), NX_COMPILER, NX_BUILD_TYPE, NX_ARCH, NX_SANITIZE ? ", sanitizers" : "",
      make_cpu_backend()->description(), MpiSession::library_version(), NX_HDF5_VERSION, cuda_facts());
}

}  // namespace nexus
