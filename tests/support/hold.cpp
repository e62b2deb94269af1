// LD_PRELOAD: holds a process at an exact moment of its run, so that no test need guess how fast a host is.
//
// NEXUS_TEST_HOLD names a file of three lines: PART, LOG, COUNT. The thread that is about to open a file whose path
// contains PART waits there, once LOG (a run's metrics.jsonl) has at least COUNT lines of steps. It makes FILE.held,
// and goes on when FILE is gone or another one. A rank of nexus that catches a signal removes FILE: a run that was told
// to end must see to it. Hold of harness.py is the other end.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>

namespace {

using Open = int (*)(const char*, int, ...);
using Handler = void (*)(int);

thread_local bool looking = false;  // this thread's own files
std::atomic<Handler> handlers[NSIG];
const char* const rule = std::getenv("NEXUS_TEST_HOLD");
const bool is_nexus = std::strncmp(program_invocation_short_name, "nexus", 5) == 0;

// Only what a signal handler may do.
void end_hold_and_handle(int number) {
  const int error = errno;
  if (is_nexus && rule != nullptr && number < SIGRTMIN) ::unlink(rule);
  errno = error;
  if (const Handler handler = handlers[number]) handler(number);
}

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

std::string line_of(std::istream& file) {
  std::string line;
  std::getline(file, line);
  return line;
}

long steps_in(const std::string& log) {
  std::ifstream file(log);
  long steps = 0;
  for (std::string line; std::getline(file, line);)
    steps += line.find("\"kind\":\"step\"") != std::string::npos ? 1 : 0;
  return steps;
}

bool is_due(const char* path) {
  std::ifstream file(rule);
  const std::string part = line_of(file), log = line_of(file), count = line_of(file);
  if (part.empty() || std::strstr(path, part.c_str()) == nullptr) return false;
  return steps_in(log) >= std::atol(count.c_str());
}

// Of the rule's file; 0: there is none.
ino_t rule_number() {
  struct stat info {};
  return ::stat(rule, &info) == 0 ? info.st_ino : 0;
}

void hold(const char* path) {
  if (looking || rule == nullptr) return;
  const int error = errno;
  looking = true;
  const ino_t number = rule_number();
  if (number != 0 && is_due(path)) {
    std::ofstream(std::string(rule) + ".held") << ::getpid() << '\n';
    const timespec moment{0, 2000000};
    while (rule_number() == number) ::nanosleep(&moment, nullptr);
  }
  looking = false;
  errno = error;
}

int open_with(const char* name, const char* path, int flags, mode_t mode) {
  hold(path);
  return next<Open>(name)(path, flags, mode);
}

mode_t mode_of(int flags, va_list& more) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
}

}  // namespace

extern "C" int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = mode_of(flags, more);
  va_end(more);
  return open_with("open", path, flags, mode);
}

extern "C" int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = mode_of(flags, more);
  va_end(more);
  return open_with("open64", path, flags, mode);
}

extern "C" int sigaction(int number, const struct sigaction* action, struct sigaction* former) noexcept {
  using Sigaction = int (*)(int, const struct sigaction*, struct sigaction*);
  struct sigaction ours {};
  const bool handles = action != nullptr && (action->sa_flags & SA_SIGINFO) == 0 && action->sa_handler != SIG_DFL &&
                       action->sa_handler != SIG_IGN && action->sa_handler != end_hold_and_handle;
  if (handles) {
    ours = *action;
    handlers[number] = ours.sa_handler;
    ours.sa_handler = end_hold_and_handle;
  }
  return next<Sigaction>("sigaction")(number, handles ? &ours : action, former);
}
