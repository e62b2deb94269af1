#include "comm/watchdog.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>
#include <vector>

#include "comm/abort_hooks.h"
#include "comm/progress.h"
#include "comm/stack_probe.h"
#include "comm/stall_report.h"
#include "core/exit_code.h"
#include "core/files.h"
#include "core/host.h"
#include "system/clock.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;
using Seconds = std::chrono::duration<double>;

constexpr double kStackPatience = 2;     // for the main thread's answer
constexpr double kDumpPatience = 2;      // for the other ranks' dumps, after they have heard of ours
constexpr double kSummaryPatience = 5;   // for the speaking rank, which may have heard late and taken its stack since
constexpr double kFailsafeSeconds = 20;  // after which a hanging file system or callback is left alone
constexpr double kHookPatience = 5;      // for the hooks of comm/abort_hooks.h, when all is said
constexpr double kPartingPatience = 1;   // for the other ranks' hooks, after that

// Not stdio: the main thread may hang while it holds the stream's lock.
void print_line(const std::string& text) {
  const std::string line = "nexus: error: " + text + "\n";
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, line.data(), line.size());
}

// Several ranks may write the same one at once; that it is there is what counts.
void write_sign(const std::string& path, const std::string& text) {
  std::ofstream(path) << text << '\n';
}

// Signals are for the main thread: the trainer's stop requests, and the probe's own.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &former_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &former_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t former_{};
};

}  // namespace

class Watchdog::Impl {
 public:
  explicit Impl(WatchdogOptions options) : options_(std::move(options)) {
    const double least = options_.start_seconds <= 0  ? options_.step_seconds
                         : options_.step_seconds <= 0 ? options_.start_seconds
                                                      : std::min(options_.start_seconds, options_.step_seconds);
    interval_ = std::clamp(least / 20, 0.05, 1.0);
    asking_interval_ = std::clamp(least / 100, 0.1, 3.0);
    std::error_code ignored;  // an earlier attempt of the same job may have left its dumps
    for (const std::string& path :
         {dump_path(options_.rank), marker_path(), summary_path(), parting_path(options_.rank)})
      fs::remove(path, ignored);
    const SignalsBlocked blocked;
    watcher_ = std::thread([this] { watch(); });
    listener_ = std::thread([this] { listen(); });
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    stopped_.notify_all();
    watcher_.join();
    listener_.join();
  }

 private:
  std::string dump_path(int rank) const { return fmt::format("{}/rank{}.txt", options_.folder, rank); }
  std::string marker_path() const { return options_.folder + "/stalled"; }
  std::string summary_path() const { return options_.folder + "/summary.txt"; }
  std::string parting_path(int rank) const { return fmt::format("{}/left{}", options_.folder, rank); }

  bool sleep_unless_stopped(double seconds) {
    std::unique_lock lock(mutex_);
    return !stopped_.wait_for(lock, Seconds(seconds), [this] { return stop_; });
  }

  void watch();
  void listen();
  [[noreturn]] void time_out(double idle_seconds);
  [[noreturn]] void leave();
  void wait_for_hooks_of_others() const;
  void write_dump(double idle_seconds);
  std::vector<int> dumped_ranks() const;
  std::vector<StallDump> read_dumps(const std::vector<int>& ranks) const;
  void speak(const std::string& text);

  WatchdogOptions options_;
  StackProbe probe_;
  double interval_ = 1, asking_interval_ = 1;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stop_ = false;
  std::atomic<bool> asked_{false}, leaving_{false};
  std::thread watcher_, listener_;
};

void Watchdog::Impl::watch() {
  double last_wake = steady_seconds(), sign = progress::last_sign();
  double idle = 0;
  while (sleep_unless_stopped(interval_)) {
    const double elapsed = steady_seconds() - last_wake;
    last_wake = steady_seconds();
    if (sign != progress::last_sign()) {
      sign = progress::last_sign();
      idle = 0;
    } else {
      idle += std::min(elapsed, 2 * interval_);  // the rest of a long sleep was spent stopped, not stuck
    }
    const bool starting = progress::snapshot().kind == progress::PhaseKind::kStart;
    const double limit = starting ? options_.start_seconds : options_.step_seconds;
    if ((limit > 0 && idle >= limit) || asked_) time_out(idle);
  }
}

// A thread of its own, because a look at a file system that hangs may hang: the watcher must not.
void Watchdog::Impl::listen() {
  while (sleep_unless_stopped(asking_interval_)) {
    if (steady_seconds() - progress::last_sign() < asking_interval_) continue;  // spares the file server
    std::error_code ignored;
    if (!fs::exists(marker_path(), ignored)) continue;
    asked_ = true;
    return;
  }
}

void Watchdog::Impl::write_dump(double idle_seconds) {
  make_folders(options_.folder);
  write_sign(marker_path(), fmt::format("rank {}", options_.rank));
  StallDump dump;
  dump.rank = options_.rank;
  dump.size = options_.size;
  dump.time = local_time_text();
  dump.host = host_name();
  dump.pid = ::getpid();
  dump.idle_seconds = idle_seconds;
  dump.state = progress::snapshot();
  dump.stack = probe_.take(kStackPatience);
  replace_file(dump_path(options_.rank), render_dump(dump));
}

std::vector<int> Watchdog::Impl::dumped_ranks() const {
  std::vector<int> ranks;
  std::error_code error;
  for (fs::directory_iterator entry(options_.folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    int rank = 0, length = 0;
    if (std::sscanf(name.c_str(), "rank%d.txt%n", &rank, &length) == 1 && length == static_cast<int>(name.size()) &&
        rank < options_.size)
      ranks.push_back(rank);
  }
  std::sort(ranks.begin(), ranks.end());
  return ranks;
}

std::vector<StallDump> Watchdog::Impl::read_dumps(const std::vector<int>& ranks) const {
  std::vector<StallDump> dumps;
  for (const int rank : ranks)
    if (std::optional<StallDump> dump = parse_dump(read_text_file(dump_path(rank)))) dumps.push_back(*std::move(dump));
  return dumps;
}

void Watchdog::Impl::speak(const std::string& text) {
  print_line(text);
  if (options_.on_timeout) options_.on_timeout(text);
}

// The launcher kills the others as soon as one rank has left, so ranks that let go of something part together.
void Watchdog::Impl::wait_for_hooks_of_others() const {
  write_sign(parting_path(options_.rank), "");
  const double start = steady_seconds();
  const std::vector<int> ranks = dumped_ranks();
  const auto has_left = [this](int rank) { return seems_to_exist(parting_path(rank)); };
  while (steady_seconds() - start < kHookPatience + kPartingPatience &&
         !std::all_of(ranks.begin(), ranks.end(), has_left))
    sleep_seconds(0.05);
}

void Watchdog::Impl::leave() {
  leaving_ = true;
  try {
    if (run_abort_hooks(kHookPatience)) wait_for_hooks_of_others();
  } catch (const std::exception&) {  // all is said, and nobody can be told more
  }
  ::_exit(to_int(ExitCode::kTransient));
}

void Watchdog::Impl::time_out(double idle_seconds) {
  const std::string plain =
      fmt::format("no progress for {:.0f} s in {} on rank {}", idle_seconds, progress::snapshot().phase, options_.rank);
  std::thread([this, plain] {
    sleep_seconds(kFailsafeSeconds);
    if (leaving_)
      sleep_seconds(kHookPatience + 2 * kPartingPatience);
    else
      print_line(plain + "; " + options_.folder + "; the dumps could not be finished either: check that file system");
    run_abort_hooks(kHookPatience);
    ::_exit(to_int(ExitCode::kTransient));
  }).detach();
  try {
    if (seems_to_exist(summary_path())) leave();  // all is said: this rank was stopped while the others gave up
    write_dump(idle_seconds);
    const auto everyone = static_cast<size_t>(options_.size);
    const double start = steady_seconds();
    while (dumped_ranks().size() < everyone && steady_seconds() - start < kDumpPatience + asking_interval_)
      sleep_seconds(0.05);
    const std::vector<int> ranks = dumped_ranks();
    if (!ranks.empty() && ranks.front() != options_.rank) {  // that one speaks; if it dies first, we do
      const double waited = steady_seconds();
      while (steady_seconds() - waited < kSummaryPatience + asking_interval_) {
        if (seems_to_exist(summary_path())) leave();
        sleep_seconds(0.05);
      }
    }
    const std::string text = explain_stall(read_dumps(ranks), options_.size, options_.folder);
    speak(text);
    write_sign(summary_path(), text);
  } catch (const std::exception& error) {
    print_line(fmt::format("{}; {}; the dumps are incomplete: {}", plain, options_.folder, error.what()));
  }
  leave();
}

Watchdog::Watchdog(WatchdogOptions options) {
  if (options.start_seconds > 0 || options.step_seconds > 0) impl_ = std::make_unique<Impl>(std::move(options));
}

Watchdog::~Watchdog() = default;

}  // namespace nexus
