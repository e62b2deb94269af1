// Makes system calls fail while it lives; the test program must be linked with failing_io.cpp.
#pragma once

#include <cstdlib>
#include <string>

#include "core/error.h"

namespace nexus {

class FailingIo {
 public:
  // See failing_io.cpp. `count` -1: for ever.
  FailingIo(const std::string& calls, int code, const std::string& path, long count = -1, long first = 0,
            int rank = -1) {
    ::setenv("NEXUS_FAIL_IO", fmt::format("{}:{}:{}:{}:{}:{}", calls, code, first, count, rank, path).c_str(), 1);
  }
  ~FailingIo() { ::unsetenv("NEXUS_FAIL_IO"); }
  FailingIo(const FailingIo&) = delete;
  FailingIo& operator=(const FailingIo&) = delete;
};

}  // namespace nexus
