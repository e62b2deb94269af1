#include "train/stop_requests.h"

#include <unistd.h>

#include <csignal>

#include "core/files.h"

namespace nexus {
namespace {

using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t signal_seen = 0;

void on_signal(int number) {
  signal_seen = number;
}

void install(int signal_number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(signal_number, &action, nullptr);
}

}  // namespace

StopRequests::StopRequests(RunFolder run, bool is_rank_0, std::optional<double> stop_after_seconds)
    : run_(std::move(run)), is_rank_0_(is_rank_0) {
  signal_seen = 0;
  add_source(true, [this] { return path_exists(run_.stop_request()) ? "the file STOP" : ""; });
  if (stop_after_seconds) {
    const auto end =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(*stop_after_seconds));
    add_source(false, [end] { return Clock::now() >= end ? "--stop-after" : ""; });
  }
  install(SIGUSR2, on_signal);
  install(SIGTERM, on_signal);
}

StopRequests::~StopRequests() {
  install(SIGUSR2, SIG_DFL);
  install(SIGTERM, SIG_DFL);
}

void StopRequests::add_source(bool urgent, std::function<std::string()> reason) {
  sources_.push_back({urgent, std::move(reason)});
}

// A reason stays; a later one counts where it is more urgent.
void StopRequests::look() {
  if (urgent_) return;
  if (signal_seen != 0) {
    reason_ = signal_seen == SIGTERM ? "signal TERM" : "signal USR2";
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
  answer.save = answer.stop || (is_rank_0_ && path_exists(run_.checkpoint_now_request()));
  return answer;
}

void StopRequests::clear_save_request() const {
  if (is_rank_0_) ::unlink(run_.checkpoint_now_request().c_str());
}

void StopRequests::clear_stop_request() const {
  if (is_rank_0_) ::unlink(run_.stop_request().c_str());
}

}  // namespace nexus
