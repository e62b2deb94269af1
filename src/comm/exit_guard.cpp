#include "comm/exit_guard.h"

#include <execinfo.h>
#include <signal.h>
#include <unistd.h>

#include <string_view>

namespace nexus {
namespace {

constexpr int kFramesToPrint = 64;
constexpr unsigned kPatienceSeconds = 10;  // for the stack, which may wait for a lock of what has crashed

volatile sig_atomic_t guarded_code = 1, crashed = 0;

void write_text(std::string_view text) {
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text.data(), text.size());
}

void leave(int) {
  ::_exit(guarded_code);
}

void on_crash(int number) {
  if (crashed != 0) leave(number);  // here, or on another thread
  crashed = 1;
  ::alarm(kPatienceSeconds);
  const char digits[] = {static_cast<char>('0' + number / 10), static_cast<char>('0' + number % 10)};
  write_text("nexus: warning: signal ");
  write_text({digits, sizeof digits});
  write_text(" while the process was ending; the error above stands. Where it was:\n");
  void* frames[kFramesToPrint];
  ::backtrace_symbols_fd(frames, ::backtrace(frames, kFramesToPrint), STDERR_FILENO);
  leave(number);
}

void install(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_NODEFER;
  ::sigaction(number, &action, nullptr);
}

}  // namespace

void guard_exit_code(int code) {
  guarded_code = code;
  void* first = nullptr;
  ::backtrace(&first, 1);  // loads the unwinder now
  for (const int number : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL}) install(number, on_crash);
  install(SIGALRM, leave);
}

}  // namespace nexus
