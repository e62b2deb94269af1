// How this process was started, as the environment tells: alone, in a Slurm allocation, or as one of several ranks.
#pragma once

#include <functional>
#include <string>

namespace nexus {

enum class StartedBy { kNobody, kMpirun, kSrun };

struct LaunchContext {
  StartedBy by = StartedBy::kNobody;
  int rank = 0, size = 1;
  std::string token;   // the same on every rank of this launch, of letters, digits, '.', '-' and '_'; empty if alone
  std::string job;     // of Slurm; empty outside an allocation
  int nodes = 1;       // of the allocation
  bool wired = false;  // the launcher offers a wire-up (PMIx or PMI) by which MPI finds the other ranks
  std::string host;    // this node's name: Slurm's, or the system's
  bool alone() const { return size <= 1; }
};

// `variable` returns a variable's value, or "".
LaunchContext launch_context(const std::function<std::string(const char*)>& variable, const std::string& host);
LaunchContext launch_context();  // of this process

}  // namespace nexus
