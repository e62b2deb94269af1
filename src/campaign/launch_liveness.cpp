#include "campaign/launch_liveness.h"

#include "core/log.h"
#include "records/status_record.h"
#include "system/clock.h"

namespace nexus {
namespace {

constexpr double kLookSeconds = 0.25;

struct Watched {
  size_t run;
  LeaseRecord seen;
};

bool shows_life(const RunFolder& run, const LeaseRecord& seen) {
  const std::vector<LeaseRecord> leases = read_leases(run);
  return !leases.empty() && (leases.back().generation != seen.generation || leases.back().renewals != seen.renewals);
}

}  // namespace

std::vector<bool> launches_gone(const std::vector<RunFolder>& runs,
                                const std::function<bool(const LeaseRecord&)>& vouched, const LeaseTimes& times) {
  std::vector<bool> gone(runs.size(), false);
  std::vector<Watched> watched;
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::vector<LeaseRecord> leases = read_leases(runs[i]);
    if (leases.empty() || !leases.back().readable()) continue;
    const LeaseRecord& newest = leases.back();
    const Liveness here = liveness_here(newest);
    gone[i] = here == Liveness::kGone;
    if (here == Liveness::kElsewhere && !(vouched && vouched(newest))) watched.push_back({i, newest});
  }
  const double end = steady_seconds() + times.expiry_seconds;
  while (!watched.empty() && steady_seconds() < end) {
    sleep_seconds(kLookSeconds);
    std::erase_if(watched, [&](const Watched& one) { return shows_life(runs[one.run], one.seen); });
  }
  for (const Watched& one : watched) gone[one.run] = true;
  return gone;
}

std::string status_of_gone(const std::string& status) {
  if (!status.starts_with(StatusRecord::kRunning)) return status;
  return "killed" + status.substr(StatusRecord::kRunning.size()) +
         " | its process is gone; the same command goes on from its commit";
}

}  // namespace nexus
