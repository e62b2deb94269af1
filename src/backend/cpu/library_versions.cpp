#include "backend/cpu/library_versions.h"

#include <cblas.h>
#include <fmt/format.h>

#include "backend/cpu/matmul.h"

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
  for (const LibraryVersion& library : cpu::onednn_libraries()) libraries.push_back(library);
  return libraries;
}

}  // namespace nexus
