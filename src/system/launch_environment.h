// How this process was started, as the environment tells: alone, in a Slurm allocation, or as one of several ranks.
// Nobody is asked, and variables of Slurm may be those of a job that is over (campaign/stale_slurm.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace nexus {

enum class StartedBy { kNobody, kMpirun, kSrun };

struct SlurmJob {
  std::string id;       // SLURM_JOB_ID; empty: not under Slurm
  int64_t restart = 0;  // SLURM_RESTART_COUNT: Slurm starts a requeued job under the same id again
  int64_t nodes = 1;
  explicit operator bool() const { return !id.empty(); }
  bool is_same_start(const SlurmJob& other) const { return id == other.id && restart == other.restart; }
};

struct LaunchEnvironment {
  // --- this process among those of its launch
  StartedBy by = StartedBy::kNobody;
  int rank = 0, size = 1;
  std::optional<int> local_rank;  // among those on its node
  int ranks_on_node = 1;
  std::string token;   // the same on every rank of this launch, of letters, digits, '.', '-' and '_'; empty if alone
  bool wired = false;  // the launcher offers a wire-up (PMIx or PMI) by which MPI finds the other ranks
  bool first = true;   // by the numbers of that wire-up, which cannot be those of a job that is over
  std::string host;    // this node's name: Slurm's, or the system's
  bool alone() const { return size <= 1; }
  // --- Slurm's job
  SlurmJob job;
  std::string target;                             // what scontrol and scancel call it: "345", or "340_2" of an array
  std::string node_list, partition, reservation;  // as Slurm writes them
  std::string end_time;                           // when the time limit ends, in Unix seconds; as it stands
  std::string stray;  // a variable that says something of a job, where no job is named; empty where all is well
};

// `variable` returns a variable's value, or "".
LaunchEnvironment launch_environment(const std::function<std::string(const std::string&)>& variable,
                                     const std::string& host);
LaunchEnvironment launch_environment();  // of this process

SlurmJob slurm_job();  // the job of launch_environment()

// Takes Slurm's variables, but its configuration, out of this process's environment.
void leave_out_slurm_variables();

// A number of Slurm's: digits only. Nothing where it is none.
std::optional<int64_t> slurm_number(std::string_view text);

}  // namespace nexus
