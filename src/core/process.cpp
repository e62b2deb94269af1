#include "core/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "core/error.h"

extern char** environ;

namespace nexus {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostOutput = 1 << 20;
constexpr std::chrono::milliseconds kReapPoll{10};

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  Descriptor read, write;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("make", "a pipe");
    read = Descriptor(ends[0]);
    write = Descriptor(ends[1]);
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
  if (error == ENOENT || error == EACCES || error == ENOTDIR) return 0;
  errno = error;
  if (error != 0) throw_errno("start", arguments[0]);
  return pid;
}

// Moves what is there; closes the descriptor at its end.
void drain(Descriptor& from, std::string& into) {
  char buffer[4096];
  const ssize_t got = ::read(from.get(), buffer, sizeof buffer);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) return from.reset();
  into.append(buffer, std::min(static_cast<size_t>(got), kMostOutput - std::min(kMostOutput, into.size())));
}

// Until the program has closed its streams or the time is over.
void listen(Pipe& out, Pipe& err, Clock::time_point end, ProcessResult& result) {
  while ((out.read.open() || err.read.open()) && Clock::now() < end) {
    pollfd polled[2] = {{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    if (::poll(polled, 2, static_cast<int>(std::clamp<long long>(left, 1, 1000))) < 0 && errno != EINTR) break;
    if (polled[0].revents != 0) drain(out.read, result.output);
    if (polled[1].revents != 0) drain(err.read, result.errors);
  }
}

void reap(pid_t pid, Clock::time_point end, ProcessResult& result) {
  int status = 0;
  pid_t ended = 0;
  while ((ended = ::waitpid(pid, &status, WNOHANG)) == 0) {
    if (Clock::now() >= end && !result.timed_out) {
      result.timed_out = true;
      ::kill(pid, SIGKILL);
    }
    std::this_thread::sleep_for(kReapPoll);
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
  const auto end =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(timeout_seconds));
  ProcessResult result;
  Pipe out, err;
  const pid_t pid = spawn(arguments, out, err);
  if (pid == 0) {
    result.found = false;
    result.code = 127;
    return result;
  }
  out.write.reset();
  err.write.reset();
  listen(out, err, end, result);
  reap(pid, end, result);
  return result;
}

}  // namespace nexus
