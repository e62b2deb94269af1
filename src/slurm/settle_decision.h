// What a job does when its ranks have left: queued again, finished, given up or left alone. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "records/status_record.h"

namespace nexus {

struct SettleFacts {
  int code = 0;                        // of srun or mpirun
  StatusRecord status;                 // of whatever start
  SlurmJob job;                        // this start
  std::optional<LaunchEnd> lease_end;  // what the newest lease of this start says, where it could be read
  int64_t max_requeues = 0;
  // Starts of this job in a row, up to this one, in which nexus did not get as far as opening the run.
  int64_t vain_starts = 0;
  // The leases could not be read: what this start did is known only if STATUS says so.
  bool blind = false;
  int64_t blind_starts = 0;        // of this job in a row before this one that were so
  bool replaced = false;           // another start or job has owned the run since this start opened it
  std::string state, reason;       // of the job, as the queue says; empty: not known
  std::vector<std::string> nodes;  // of the job
  // Nodes besides the job's that are like them, work, and may be given to it. Nothing: not known.
  std::optional<int64_t> spare_nodes;
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
  int64_t blind_starts = 0;  // in a row, this one included: to be noted with the job
};

// Vain starts that are enough.
constexpr int64_t kMostVainStarts = 3;

SettleDecision decide_settle(const SettleFacts& facts);

// Where the run folder cannot be read, the job's comment keeps count: "nexus:0123:s0/blind-7-2" after restart 7, when
// two starts in a row had been blind. Of the start before `restart`, since readable ones leave it as it is.
int64_t blind_starts_before(const std::string& comment, int64_t restart);
std::string comment_after_blind(const std::string& comment, int64_t restart, int64_t blind_starts);

}  // namespace nexus
