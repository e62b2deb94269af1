#include "train/stop_requests.h"

#include <unistd.h>

#include <csignal>

#include "core/files.h"

namespace nexus {
namespace {

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
  if (stop_after_seconds)
    deadline_ = std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                                       std::chrono::duration<double>(*stop_after_seconds));
  install(SIGUSR2, on_signal);
  install(SIGTERM, on_signal);
}

StopRequests::~StopRequests() {
  install(SIGUSR2, SIG_DFL);
  install(SIGTERM, SIG_DFL);
}

void StopRequests::add_source(std::function<std::string()> reason) {
  sources_.push_back(std::move(reason));
}

std::string StopRequests::find_reason() const {
  if (signal_seen != 0) return signal_seen == SIGTERM ? "signal TERM" : "signal USR2";
  if (!is_rank_0_) return "";
  if (deadline_ && std::chrono::steady_clock::now() >= *deadline_) return "--stop-after";
  if (path_exists(run_.stop_request())) return "the file STOP";
  for (const auto& source : sources_)
    if (std::string reason = source(); !reason.empty()) return reason;
  return "";
}

Requests StopRequests::poll() {
  if (reason_.empty()) reason_ = find_reason();
  Requests answer;
  answer.stop = !reason_.empty();
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
