#include "system/process.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "core/file_descriptor.h"
#include "system/clock.h"

extern char** environ;

namespace nexus {
namespace {

constexpr size_t kMostOutput = 1 << 20;
constexpr double kReapPoll = 0.01;

struct Pipe {
  FileDescriptor read, write;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("make", "a pipe");
    read = FileDescriptor(ends[0]);
    write = FileDescriptor(ends[1]);
  }
};

// Signals as a program expects to find them: none blocked, none ignored because this process ignores it.
class SpawnAttributes {
 public:
  SpawnAttributes() {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&value_);
    posix_spawnattr_setsigmask(&value_, &none);
    posix_spawnattr_setsigdefault(&value_, &all);
    posix_spawnattr_setflags(&value_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnAttributes() { posix_spawnattr_destroy(&value_); }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  const posix_spawnattr_t* get() const { return &value_; }

 private:
  posix_spawnattr_t value_;
};

// Starts the program with its output tied to the pipes; 0 where there is no such program.
pid_t spawn(const std::vector<std::string>& arguments, const Pipe& out, const Pipe& err) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, err.write.get(), 2);
  pid_t pid = 0;
  const SpawnAttributes attributes;
  const int error = ::posix_spawnp(&pid, argv[0], &actions, attributes.get(), argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT || error == EACCES || error == ENOTDIR || error == ENOEXEC) return 0;
  errno = error;
  if (error != 0) throw_errno("start", arguments[0]);
  return pid;
}

// Moves what is there; closes the descriptor at its end.
void drain(FileDescriptor& from, std::string& into) {
  char buffer[4096];
  const ssize_t got = from.read(buffer, sizeof buffer);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) {
    from.close();
    return;
  }
  into.append(buffer, std::min(static_cast<size_t>(got), kMostOutput - std::min(kMostOutput, into.size())));
}

// Until the program has closed its streams or the time is over.
void listen(Pipe& out, Pipe& err, double end, ProcessResult& result) {
  while ((out.read.is_open() || err.read.is_open()) && steady_seconds() < end) {
    pollfd polled[2] = {{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}};
    const double left = std::clamp(1e3 * (end - steady_seconds()), 1.0, 1e3);
    if (::poll(polled, 2, static_cast<int>(left)) < 0 && errno != EINTR) break;
    if (polled[0].revents != 0) drain(out.read, result.output);
    if (polled[1].revents != 0) drain(err.read, result.errors);
  }
}

void reap(pid_t pid, double end, ProcessResult& result) {
  int status = 0;
  pid_t ended = 0;
  while ((ended = ::waitpid(pid, &status, WNOHANG)) == 0) {
    if (steady_seconds() >= end && !result.timed_out) {
      result.timed_out = true;
      ::kill(pid, SIGKILL);
    }
    sleep_seconds(kReapPoll);
  }
  if (ended != pid) throw_errno("wait for", "a program");
  result.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

std::string ProcessResult::first_line() const {
  const std::string& text = output.empty() ? errors : output;
  return text.substr(0, text.find('\n'));
}

ProcessResult run_process(const std::vector<std::string>& arguments, double timeout_seconds) {
  NX_CHECK(!arguments.empty());
  const double end = steady_seconds() + timeout_seconds;
  ProcessResult result;
  Pipe out, err;
  const pid_t pid = spawn(arguments, out, err);
  if (pid == 0) {
    result.found = false;
    result.code = 127;
    return result;
  }
  out.write.close();
  err.write.close();
  listen(out, err, end, result);
  reap(pid, end, result);
  return result;
}

std::string own_program() {
  std::error_code failed;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", failed);
  return failed ? "" : program.string();
}

}  // namespace nexus
