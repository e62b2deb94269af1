#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "core/file_descriptor.h"
#include "doctor/checks.h"
#include "system/shell_quote.h"

namespace nexus {
namespace {

// A socket's file without anybody who listens: its owner was killed.
bool is_left_behind(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const FileDescriptor caller(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return ::connect(caller.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
         errno == ECONNREFUSED;
}

}  // namespace

std::vector<Finding> check_munge(const std::string& socket) {
  Findings found("mpi");
  if (is_left_behind(socket))
    found.warning(
        fmt::format("{} is there and munged is not: mpirun, and a rank without a launcher, wait 2 s each", socket),
        fmt::format("systemctl start munge, or rm {}, or export PMIX_MCA_psec=^munge", shell_quote(socket)));
  return found.list();
}

}  // namespace nexus
