// What the ranks of one launch tell of themselves, how well they talk to each other, and what of it is wrong.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "doctor/finding.h"

namespace nexus {

struct RankFacts {
  int rank = 0;
  std::string host;
  std::vector<int> cpus;    // that this process may run on
  int host_cpus = 0;        // that are online
  std::string program;      // digest of the running executable
  std::string version;      // of nexus
  std::string mpi;          // "Open MPI v4.1.4"
  std::string gpu;          // identity of the GPU that the rank would take; empty: none
  double clock_offset = 0;  // seconds that this host's wall clock is ahead of rank 0's
};

// The one launch: its ranks and the speed of sums over them.
struct WorldFacts {
  std::vector<RankFacts> ranks;  // in order
  bool sums_right = false;       // an all-reduce of known numbers gave what it must
  double small_sum_seconds = 0;  // all-reduce of 8 bytes, median
  double large_sum_seconds = 0;  // all-reduce of `large_bytes`, median
  int64_t large_bytes = 0;
};

// What this process knows of itself; `gpu` and `version` come from the caller.
RankFacts own_facts(const std::string& version, const std::string& gpu);

// Collective; the same result on every rank.
WorldFacts examine_world(Communicator& world, const RankFacts& mine);

nlohmann::json world_json(const WorldFacts& facts);
WorldFacts world_from_json(const nlohmann::json& document);  // throws nlohmann::json::exception

std::vector<Finding> judge_world(const WorldFacts& facts);

// "0-3,8" of sorted numbers.
std::string cpu_list(const std::vector<int>& cpus);

}  // namespace nexus
