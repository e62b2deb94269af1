#include "backend/cpu/library_versions.h"

#include <cblas.h>
#include <fmt/format.h>

#ifdef NEXUS_WITH_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif

namespace nexus {
namespace {

// "OpenBLAS 0.3.21 NO_LAPACKE ..." -> "0.3.21"
std::string first_number(const std::string& text) {
  const size_t begin = text.find_first_of("0123456789");
  return begin == std::string::npos ? text : text.substr(begin, text.find(' ', begin) - begin);
}

}  // namespace

std::vector<LibraryVersion> cpu_libraries() {
  std::vector<LibraryVersion> libraries{
      {"OpenBLAS", first_number(OPENBLAS_VERSION), first_number(openblas_get_config())}};
#ifdef NEXUS_WITH_ONEDNN
  const dnnl_version_t* loaded = dnnl_version();
  libraries.push_back({"oneDNN", fmt::format("{}.{}.{}", DNNL_VERSION_MAJOR, DNNL_VERSION_MINOR, DNNL_VERSION_PATCH),
                       fmt::format("{}.{}.{}", loaded->major, loaded->minor, loaded->patch)});
#endif
  return libraries;
}

}  // namespace nexus
