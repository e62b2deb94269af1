// Threads against cores: OMP_NUM_THREADS is read once, and a node that is asked for many more threads than it has cores
// is warned of. The threads of a matrix product wait for each other, so that such a run is many times slower.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace nexus {

class Communicator;

// Cores that the control groups of this process allow it to use (cpu.max, cpu.cfs_quota_us); nothing: no limit.
// `root` stands before /proc and /sys in tests.
std::optional<double> cgroup_cores(const std::string& root = "");

// The first number of OMP_NUM_THREADS (the others are of nested regions); nothing where it is unset or no such number.
std::optional<int> threads_from_environment();

// One rank's part of the question.
struct RankThreads {
  std::string host;
  int threads = 1;
  std::vector<int> cores;              // that the rank may run on
  std::optional<double> cgroup_cores;  // of its control group
};

// A warning for each host whose ranks start more than twice as many threads as they have cores.
std::vector<std::string> oversubscribed_hosts(const std::vector<RankThreads>& ranks);

// Collective: warns on rank 0, also of an OMP_NUM_THREADS that is no number. `threads` is what this rank will start.
void warn_of_threads(Communicator& world, int threads);

}  // namespace nexus
