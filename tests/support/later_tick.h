// File systems give times in ticks of some milliseconds; two writes within one bear the same time.
#pragma once

#include <sys/stat.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <utility>

namespace nexus {

// Returns once a write to a file in the folder of `path` gets a later time than the last change to `path`.
inline void wait_for_a_later_tick(const std::string& path) {
  const auto time_of = [](const std::string& name) {
    struct stat info {};
    ::stat(name.c_str(), &info);
    return std::pair(info.st_ctim.tv_sec, info.st_ctim.tv_nsec);
  };
  const auto before = time_of(path);
  const std::string probe = path + ".tick";
  do {
    std::ofstream(probe) << "x";
  } while (time_of(probe) <= before);
  ::remove(probe.c_str());
}

}  // namespace nexus
