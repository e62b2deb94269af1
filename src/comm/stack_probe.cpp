#include "comm/stack_probe.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "core/error.h"
#include "system/clock.h"

namespace nexus {
namespace {

constexpr int kMaxFrames = 128;
constexpr int kOwnFrames = 2;  // the handler and the kernel's return trampoline

// What a signal handler may touch: memory that is there already.
void* frames[kMaxFrames];
std::atomic<int> frame_count{-1};
std::atomic<bool> in_use{false};

void store_frames(int) {
  const int error = errno;
  frame_count.store(::backtrace(frames, kMaxFrames), std::memory_order_release);
  errno = error;
}

std::string base_name(const char* path) {
  const std::string text = path == nullptr ? "?" : path;
  return text.substr(text.find_last_of('/') + 1);
}

std::string describe(void* address) {
  // A return address may be the first byte of the next function: the call lies before it.
  const char* call = static_cast<char*>(address) - 1;
  Dl_info info{};
  if (::dladdr(call, &info) == 0) return fmt::format("{}", address);
  const std::string place =
      fmt::format("{}+{:#x}", base_name(info.dli_fname), call - static_cast<const char*>(info.dli_fbase));
  if (info.dli_sname == nullptr) return place;
  int status = 0;
  char* plain = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status);
  const std::string name = status == 0 ? plain : info.dli_sname;
  std::free(plain);
  return fmt::format("{} ({})", name, place);
}

}  // namespace

StackProbe::StackProbe() : thread_(pthread_self()) {
  NX_CHECK(!in_use.exchange(true), "two stack probes");
  void* first = nullptr;
  ::backtrace(&first, 1);  // loads the unwinder now: a handler may not allocate
  struct sigaction action {};
  action.sa_handler = store_frames;
  action.sa_flags = SA_RESTART;
  NX_CHECK(::sigaction(SIGRTMIN + 3, &action, &former_) == 0, "sigaction: errno {}", errno);
}

StackProbe::~StackProbe() {
  ::sigaction(SIGRTMIN + 3, &former_, nullptr);
  in_use = false;
}

std::vector<std::string> StackProbe::take(double patience_seconds) {
  frame_count = -1;
  std::vector<std::string> lines;
  if (::pthread_kill(thread_, SIGRTMIN + 3) != 0) return lines;
  const double deadline = steady_seconds() + patience_seconds;
  while (frame_count.load(std::memory_order_acquire) < 0) {
    if (steady_seconds() > deadline) return lines;
    sleep_seconds(0.01);
  }
  for (int i = kOwnFrames; i < frame_count; ++i) lines.push_back(describe(frames[i]));
  return lines;
}

}  // namespace nexus
