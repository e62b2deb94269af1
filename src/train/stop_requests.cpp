#include "train/stop_requests.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string_view>

#include "core/files.h"
#include "system/clock.h"

namespace nexus {
namespace {

constexpr int kStopSignals[] = {SIGTERM, SIGUSR2, SIGUSR1, SIGINT, SIGHUP};
// A Ctrl-C that a script passes on as well comes twice at once; nobody presses it so fast.
constexpr int64_t kSecondPressMs = 500;

volatile std::sig_atomic_t signal_seen = 0;
std::atomic<int64_t> interrupted_at{0};  // the first INT, in milliseconds; 0: none yet
static_assert(std::atomic<int64_t>::is_always_lock_free);

std::string_view name_of_signal(int number) {
  switch (number) {
    case SIGTERM: return "TERM";
    case SIGUSR2: return "USR2";
    case SIGUSR1: return "USR1";
    case SIGINT: return "INT";
    default: return "HUP";
  }
}

int64_t now_ms() {
  return steady_milliseconds() + 1;  // never 0
}

void say(std::string_view text) {
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text.data(), text.size());
}

// A second INT ends the process as if nothing had been caught: what is not committed is lost, as by a kill.
void on_interrupt() {
  int64_t first = 0;
  if (interrupted_at.compare_exchange_strong(first, now_ms()))
    return say("\nnexus: interrupted: saves after this step and ends; once more ends at once\n");
  if (now_ms() - first < kSecondPressMs) return;
  std::signal(SIGINT, SIG_DFL);
  std::raise(SIGINT);  // comes when the handler has returned
}

// Whatever is called here must be allowed in a handler.
void on_signal(int number) {
  const int error = errno;
  if (number == SIGINT) on_interrupt();
  signal_seen = number;
  errno = error;
}

}  // namespace

StopRequests::StopRequests(RunFolder run, bool is_rank_0, std::optional<double> stop_after_seconds,
                           const std::vector<int>& ignored)
    : run_(std::move(run)), is_rank_0_(is_rank_0) {
  add_source(true, [this] { return seems_to_exist(run_.stop_request()) ? "the file STOP" : ""; });
  if (stop_after_seconds) {
    const double end = steady_seconds() + *stop_after_seconds;
    add_source(false, [end] { return steady_seconds() >= end ? "--stop-after" : ""; });
  }
  catch_signals(ignored);
}

StopRequests::~StopRequests() {
  for (const auto& [number, action] : former_) ::sigaction(number, &action, nullptr);
}

// nohup ignores HUP, and shells ignore INT for what they start in the background: both mean it.
void StopRequests::catch_signals(const std::vector<int>& ignored) {
  signal_seen = 0;
  interrupted_at = 0;
  for (const int number : kStopSignals) {
    const bool can_be_meant = number == SIGINT || number == SIGHUP;
    const bool ignore = can_be_meant && std::ranges::find(ignored, number) != ignored.end();
    struct sigaction action {
    }, former{};
    action.sa_handler = ignore ? SIG_IGN : on_signal;
    action.sa_flags = SA_RESTART;
    ::sigaction(number, &action, &former);
    former_.emplace_back(number, former);
  }
}

void StopRequests::add_source(bool urgent, std::function<std::string()> reason) {
  sources_.push_back({urgent, std::move(reason)});
}

// A reason stays; a later one counts where it is more urgent.
void StopRequests::look() {
  if (urgent_) return;
  if (signal_seen != 0) {
    reason_ = "signal " + std::string(name_of_signal(signal_seen));
    urgent_ = true;
    return;
  }
  if (!is_rank_0_) return;
  for (const Source& source : sources_) {
    if (!reason_.empty() && !source.urgent) continue;
    if (std::string reason = source.reason(); !reason.empty()) {
      reason_ = std::move(reason);
      urgent_ = source.urgent;
      if (urgent_) return;
    }
  }
}

Requests StopRequests::poll() {
  look();
  Requests answer;
  answer.stop = !reason_.empty();
  answer.urgent = urgent_;
  answer.save = answer.stop || (is_rank_0_ && seems_to_exist(run_.checkpoint_now_request()));
  return answer;
}

void StopRequests::clear_save_request() const {
  if (is_rank_0_) ::unlink(run_.checkpoint_now_request().c_str());
}

void StopRequests::clear_stop_request() const {
  if (is_rank_0_) ::unlink(run_.stop_request().c_str());
}

}  // namespace nexus
