#include "cli/build_facts.h"

#include <fmt/format.h>

#include "backend/backend.h"
#include "cli/build_info.h"
#include "cli/gpu.h"
#include "comm/communicator.h"

namespace nexus {

std::string version() {
  return fmt::format("{} (commit {})", NX_VERSION, NX_COMMIT);
}

std::string build_facts() {
  const std::string gpus = gpu_build();
  return fmt::format(
      "nexus {}\n"
      "compiler  {}\n"
      "build     {}, -march={}{}\n"
      "cpu       {}\n"
      "mpi       {}\n"
      "hdf5      {}\n"
      "cuda      {}\n",
      version(), NX_COMPILER, NX_BUILD_TYPE, NX_ARCH, NX_SANITIZE ? ", sanitizers" : "",
      make_cpu_backend()->description(), MpiSession::library_version(), NX_HDF5_VERSION,
      gpus.empty() ? "not built (preset `cuda` builds it)" : gpus);
}

}  // namespace nexus
