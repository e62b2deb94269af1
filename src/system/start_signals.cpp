#include "system/start_signals.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>

namespace nexus {
namespace {

constexpr int kSignals = 31;
constexpr size_t kMaskBytes = 8;  // of the kernel's signal set
uint32_t ignored = 0;             // bit n - 1: signal n

// Runs before the constructors of shared libraries, those of LD_PRELOAD included, which is why it asks the kernel
// itself: a sanitizer that stands in for sigaction() is not ready. The handler is the first word of the kernel's
// answer.
void look_at_signals(int, char**, char**) {
  for (int number = 1; number <= kSignals; ++number) {
    std::array<uintptr_t, 8> action{};
    if (::syscall(SYS_rt_sigaction, number, nullptr, action.data(), kMaskBytes) != 0) continue;
    if (action[0] == reinterpret_cast<uintptr_t>(SIG_IGN)) ignored |= uint32_t{1} << (number - 1);
  }
}

[[gnu::section(".preinit_array"), gnu::used]] void (*const before_libraries)(int, char**, char**) = look_at_signals;

}  // namespace

std::vector<int> signals_ignored_at_start() {
  std::vector<int> numbers;
  for (int number = 1; number <= kSignals; ++number)
    if ((ignored >> (number - 1) & 1U) != 0) numbers.push_back(number);
  return numbers;
}

}  // namespace nexus
