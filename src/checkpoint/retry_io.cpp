#include "checkpoint/retry_io.h"

#include <thread>

#include "core/log.h"

namespace nexus {

std::chrono::milliseconds retry_pause{100};

bool try_again(const Error& error, int failures) {
  if (error.kind() != ErrorKind::kIo || failures > 3) return false;
  const auto pause = retry_pause * (failures == 1 ? 1 : failures == 2 ? 3 : 9);
  warn("{}; {}; trying again in {:.1f} s", error.fact(), error.where(), std::chrono::duration<double>(pause).count());
  std::this_thread::sleep_for(pause);
  return true;
}

}  // namespace nexus
