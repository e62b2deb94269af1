#include "campaign/stale_slurm.h"

#include <unistd.h>

#include "core/error.h"
#include "core/files.h"
#include "core/log.h"
#include "system/clock.h"
#include "system/environment.h"
#include "system/launch_environment.h"

namespace nexus {
namespace {

// -1 in a user namespace, where this process's number need not be the one that Slurm knows.
int64_t user_as_slurm_knows_it() {
  try {
    std::string words;
    for (const char c : read_text_file("/proc/self/uid_map", 4096))
      if (c != ' ' || (!words.empty() && words.back() != ' ')) words += c;
    return words == "0 0 4294967295\n" ? static_cast<int64_t>(::geteuid()) : -1;
  } catch (const Error&) {
    return -1;
  }
}

}  // namespace

std::string why_stale(const SlurmJob& job, const QueueAnswer& answer, int64_t user, std::optional<int64_t> end,
                      int64_t now) {
  using Kind = QueueAnswer::Kind;
  switch (answer.kind) {
    case Kind::kNoSuchJob: return "Slurm knows no job " + job.id;
    case Kind::kOver: return fmt::format("job {} is over ({})", job.id, answer.state);
    case Kind::kLives:
      return user < 0 || answer.user == user ? "" : fmt::format("job {} is user {}'s", job.id, answer.user);
    case Kind::kNoSlurm:
      return end && *end < now ? "there is no Slurm on this machine, and SLURM_JOB_END_TIME has passed" : "";
    case Kind::kSilent: return "";
  }
  return "";
}

void leave_out_stale_slurm() {
  const LaunchEnvironment launch = launch_environment();
  const std::string id = environment("SLURM_JOB_ID");
  if (id.empty()) {
    // A step's number of tasks, a node's, a limit: without the job that they are of, they say nothing of this process.
    if (launch.stray.empty()) return;
    if (launch.first)
      warn(
          "{} is set, but SLURM_JOB_ID is not: it is left out with all SLURM_ variables; unset it to hear no more of "
          "it",
          launch.stray);
    return leave_out_slurm_variables();
  }
  if (!launch.first) return;
  std::string why = "that is no job's number";
  if (launch.job)
    why = why_stale(launch.job, ask_queue(launch.job), user_as_slurm_knows_it(), slurm_number(launch.end_time),
                    static_cast<int64_t>(unix_seconds()));
  if (why.empty()) return;
  warn(
      "SLURM_JOB_ID={} is left out with all SLURM_ variables, as of a shell that has outlived its job: {}; unset "
      "SLURM_JOB_ID to hear no more of it",
      id, why);
  leave_out_slurm_variables();
}

}  // namespace nexus
