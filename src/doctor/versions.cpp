#include "doctor/versions.h"

#include <fmt/format.h>
#include <gnu/libc-version.h>

#include <cstdlib>

namespace nexus {
namespace {

// "Open MPI v4.1.4" and "4.1.4" -> {4, 1}
std::pair<int, int> major_minor(const std::string& version) {
  const size_t begin = version.find_first_of("0123456789");
  if (begin == std::string::npos) return {0, 0};
  char* end = nullptr;
  const long major = std::strtol(version.c_str() + begin, &end, 10);
  return {static_cast<int>(major), *end == '.' ? std::atoi(end + 1) : 0};
}

}  // namespace

std::vector<LibraryVersion> system_libraries() {
  return {{"glibc", fmt::format("{}.{}", __GLIBC__, __GLIBC_MINOR__), gnu_get_libc_version()}};
}

std::vector<Finding> judge_versions(const std::vector<LibraryVersion>& libraries) {
  Findings found("versions");
  std::string same;
  for (const LibraryVersion& library : libraries) {
    const auto [compiled_major, compiled_minor] = major_minor(library.compiled);
    const auto [loaded_major, loaded_minor] = major_minor(library.loaded);
    const std::string what =
        fmt::format("{}: compiled with {}, loaded {}", library.name, library.compiled, library.loaded);
    const std::string cure = "load the modules that nexus was built with, or build it again: scripts/build";
    if (library.compiled.empty() || library.loaded.empty() || library.compiled == library.loaded)
      same += fmt::format("{}{} {}", same.empty() ? "" : ", ", library.name,
                          library.loaded.empty() ? library.compiled : library.loaded);
    else if (compiled_major != loaded_major || library.name == "HDF5")
      found.problem(what, cure);  // HDF5 ends a program at once whose headers are of another release
    else if (loaded_minor < compiled_minor)
      found.warning(what, cure);
    else
      found.note(what);
  }
  if (!same.empty()) found.ok(same);
  return found.list();
}

}  // namespace nexus
