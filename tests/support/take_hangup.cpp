// LD_PRELOAD: takes HUP before main, as UCX does.
#include <csignal>

namespace {

[[gnu::constructor]] void take_hangup() {
  std::signal(SIGHUP, [](int) {});
}

}  // namespace
