#include "system/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "core/error.h"
#include "core/file_descriptor.h"

namespace nexus {
namespace {

constexpr int kNotStarted = 127;

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& variables) {
  std::vector<std::string> words;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string word = *entry;
    if (variables.count(word.substr(0, word.find('='))) == 0) words.push_back(word);
  }
  for (const auto& [name, value] : variables) words.push_back(name + "=" + value);
  return words;
}

// In the child, between fork and exec: only what a signal handler may do.
[[noreturn]] void become(char* const* arguments, char* const* variables, int log, int signal_at_death, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, signal_at_death);
  if (::getppid() != parent) ::_exit(kNotStarted);  // it died before the line above
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, 0);
  ::dup2(log, 1);
  ::dup2(log, 2);
  ::execvpe(arguments[0], arguments, variables);
  ::_exit(kNotStarted);
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& arguments,
                           const std::map<std::string, std::string>& variables, const std::string& log,
                           int signal_at_death) {
  NX_CHECK(!arguments.empty());
  const FileDescriptor file(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!file.is_open()) throw_errno("open", log);
  std::vector<std::string> words = arguments, environment = environment_with(variables);
  const std::vector<char*> argv = pointers_to(words), envp = pointers_to(environment);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw_errno("start", arguments[0]);
  if (pid_ == 0) become(argv.data(), envp.data(), file.get(), signal_at_death, parent);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept : pid_(std::exchange(other.pid_, 0)), code_(other.code_) {}

ChildProcess::~ChildProcess() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
}

std::optional<int> ChildProcess::poll() {
  if (pid_ == 0) return code_;
  int status = 0;
  const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR)) return std::nullopt;
  if (ended < 0) throw_errno("wait for", "a program");
  pid_ = 0;
  code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return code_;
}

void ChildProcess::send(int signal) {
  if (pid_ != 0) ::kill(pid_, signal);
}

}  // namespace nexus
