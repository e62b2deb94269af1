#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "doctor/checks.h"
#include "support/temp_folder.h"
#include "unit/doctor/finding_support.h"

namespace nexus {
namespace {

// Listens at `path`; returns the descriptor.
int listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(fd, 1), 0);
  return fd;
}

TEST(Munge, ASocketThatAKilledDaemonLeftIsAWarningWithItsCure) {
  const TempFolder folder;
  const std::string socket = folder / "munge.socket.2";
  EXPECT_TRUE(check_munge(socket).empty()) << "no munge here";
  const int daemon = listen_at(socket);
  EXPECT_TRUE(check_munge(socket).empty()) << "munged lives";
  ::close(daemon);
  const std::vector<Finding> findings = check_munge(socket);
  EXPECT_EQ(level_of(findings, socket), "warning");
  EXPECT_TRUE(all_have_cures(findings));
}

}  // namespace
}  // namespace nexus
