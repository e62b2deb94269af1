#include "core/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace nexus {
namespace {

bool output_wanted = true;

}  // namespace

void secure_standard_streams() {
  std::signal(SIGPIPE, SIG_IGN);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free number is this one. Opened for reading, standard output says so when it is written to.
    if (::open("/dev/null", stream == STDERR_FILENO ? O_WRONLY : O_RDONLY) != stream) continue;
    if (stream == STDOUT_FILENO) output_wanted = false;
  }
}

bool standard_output_wanted() {
  return output_wanted;
}

std::string standard_output_trouble() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return "";
  if (!output_wanted) return "it is closed";
  return errno == 0 ? "an earlier write to it failed" : std::strerror(errno);
}

}  // namespace nexus
