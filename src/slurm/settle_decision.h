// What a job does when its ranks have left: queued again, finished, given up or left alone. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "campaign/cluster_spec.h"

namespace nexus {

// The line in RUN/STATUS (docs/slurm.md): "stopped stage s0 step 12 | exit 75 | generation 12 | job 345 restart 1".
struct RunStatus {
  std::string text;         // what comes before the groups, for people
  std::optional<int> exit;  // nothing: the job was killed, or still runs
  std::string job;          // empty: not started under Slurm
  int64_t restart = 0;
};
RunStatus parse_status(const std::string& line);

struct SettleFacts {
  int code = 0;  // of srun or mpirun
  RunStatus status;
  std::string job;  // SLURM_JOB_ID
  int64_t restart = 0;
  int64_t max_requeues = 0;
  // Starts of this job in a row, up to this one, in which nexus did not get as far as opening the run.
  int64_t vain_starts = 0;
  bool replaced = false;           // another start or job has owned the run since this start opened it
  std::string state, reason;       // of the job, as the queue says; empty: not known
  std::vector<std::string> nodes;  // of the job
};

enum class SettleAction {
  kFinish,   // the stage is done: the next job may begin
  kRequeue,  // the same job again
  kGiveUp,   // never again: cancel what waits for it
  kLeave     // somebody else decides
};

struct SettleDecision {
  SettleAction action = SettleAction::kLeave;
  int code = 0;              // that Slurm should see
  std::string why;           // one clause, for people
  std::string exclude = "";  // node that the job should not get again; empty: none
};

// Vain starts that are enough.
constexpr int64_t kMostVainStarts = 3;

SettleDecision decide_settle(const SettleFacts& facts);

}  // namespace nexus
