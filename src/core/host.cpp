#include "core/host.h"

#include <sys/utsname.h>

namespace nexus {

std::string host_name() {
  utsname host{};
  ::uname(&host);  // cannot fail: its one error is a bad address
  return host.nodename;
}

}  // namespace nexus
