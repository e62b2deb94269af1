#include "campaign/launch_keeper.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "campaign/failed_starts.h"
#include "comm/abort_hooks.h"
#include "core/error.h"
#include "core/log.h"
#include "system/clock.h"

namespace nexus {
namespace {

constexpr double kAskSeconds = 600;  // between questions to Slurm while the limit is far
constexpr double kHookPatience = 5;  // for what holds other processes up (comm/abort_hooks.h)
constexpr double kSaveSpread = 1.5;  // the next save may be slower than the one before

// Slurm's answers, and before the first one what the job's environment says: once, since that is of the wall clock.
JobDeadline::SecondsLeft question(const SlurmJob& job) {
  if (!job) return [] { return std::optional<double>(); };
  return [job, first = true]() mutable {
    const std::optional<double> left = ask_queue(job).seconds_left;
    return std::exchange(first, false) && !left ? stated_seconds_left() : left;
  };
}

[[noreturn]] void leave_to_the_newer(const std::string& text) {
  std::fprintf(stderr, "nexus: error: %s\n", text.c_str());
  run_abort_hooks(kHookPatience);
  ::_exit(to_int(ExitCode::kFenced));
}

}  // namespace

JobDeadline::JobDeadline(SecondsLeft ask, double margin_seconds)
    : ask_(std::move(ask)), margin_seconds_(margin_seconds) {
  ask_again();
  // A save that hung must not make every later job stop before it has done a step.
  longest_save_ = left_when_asked_ ? std::max(0.0, *left_when_asked_) / 4 : 0;
}

bool JobDeadline::reached(double save_seconds) {
  const double needed = margin_seconds_ + std::min(kSaveSpread * save_seconds, longest_save_);
  const bool near = left_when_asked_ && left() < needed;
  if (near || steady_seconds() - asked_ > kAskSeconds) ask_again();
  return left_when_asked_ && left() < needed;
}

// Without an answer the last one stands.
void JobDeadline::ask_again() {
  asked_ = steady_seconds();
  try {
    if (const auto left = ask_()) {
      left_when_asked_ = left;
      answered_ = asked_;
    }
  } catch (const Error& error) {
    warn("Slurm could not be asked for the time limit: {}", error.what());
  }
}

double JobDeadline::left() const {
  return *left_when_asked_ - (steady_seconds() - answered_);
}

LaunchKeeper::LaunchKeeper(const RunFolder& run, const CampaignSpec& spec, int ranks, int nodes)
    : run_(run),
      spec_(spec),
      job_(slurm_job()),
      lease_(run, ranks, nodes, leave_to_the_newer),
      deadline_(question(job_), spec.slurm.stop_margin_seconds) {}

LaunchMark LaunchKeeper::mark() const {
  return {lease_.generation(), job_};
}

// The first start that opens the run is never one too many: the job may have begun with something else.
void LaunchKeeper::refuse_failed_starts() {
  const int64_t newest = newest_sequence(run_);
  lease_.note_found(newest);
  const std::vector<LeaseRecord>& all = lease_.earlier();
  const auto is_ours = [this](const LeaseRecord& lease) { return lease.job.id == job_.id; };
  const int64_t failed = failed_starts(all, job_, newest);
  if (failed < spec_.slurm.max_idle_starts || std::none_of(all.begin(), all.end(), is_ours)) return;
  throw Error(ErrorKind::kNoProgress,
              fmt::format("{} starts of job {} in a row have committed nothing", failed, job_.id), run_.root,
              "read the logs of the last starts; give the job more time, or checkpoint.every a shorter period, and "
              "submit it again");
}

void LaunchKeeper::add_sources(StopRequests& requests) {
  requests.add_source(true,
                      [this] { return deadline_.reached(lease_.latest_save_seconds()) ? "the job's time limit" : ""; });
  requests.add_source(false, [this] {
    const std::string limit = spent();
    return limit.empty() ? "" : "the budget: " + limit;
  });
}

Fence LaunchKeeper::fence() const {
  return [this] { lease_.require_current(); };
}

void LaunchKeeper::committed(RunRecords& records, const TrainState& state, const SaveResult& saved) {
  lease_.note_commit(saved.seconds);
  const Spending spending = spending_of(lease_.usage(), spec_.account);
  records.spent(state, to_json(spending), budget_line(spending, spec_.budget));
}

std::string LaunchKeeper::spent() const {
  return spent_limit(spending_of(lease_.usage(), spec_.account), spec_.budget);
}

}  // namespace nexus
