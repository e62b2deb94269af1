#include "core/host.h"

#include <gtest/gtest.h>

#include "core/files.h"

namespace nexus {
namespace {

TEST(Host, IsNamedAsTheKernelNamesIt) {
  const std::string line = read_text_file("/proc/sys/kernel/hostname", 256);
  EXPECT_EQ(host_name(), line.substr(0, line.find('\n')));
  EXPECT_FALSE(host_name().empty());
}

}  // namespace
}  // namespace nexus
