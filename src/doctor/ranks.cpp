#include "doctor/ranks.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "core/hash.h"
#include "core/json_text.h"
#include "doctor/launch_context.h"
#include "doctor/storage.h"

namespace nexus {
namespace {

constexpr int kClockRounds = 15;
constexpr int kSmallRounds = 50, kLargeRounds = 7;
constexpr int64_t kLargeCount = 1 << 20;  // of f32: 4 MiB, above every eager limit, so that the large path is tried too

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// How far every rank's wall clock is ahead of rank 0's. Ranks leave a barrier within microseconds to milliseconds; the
// median of several rounds leaves little of that.
std::vector<double> clock_offsets(Communicator& world) {
  const auto ranks = static_cast<size_t>(world.size());
  std::vector<std::vector<double>> seen(ranks);
  // f64 holds seconds of this century to 0.2 microseconds.
  for (int round = 0; round < kClockRounds; ++round) {
    std::vector<double> times(ranks, 0.0);
    world.barrier();
    times[static_cast<size_t>(world.rank())] = wall_seconds();
    world.sum(std::span<double>(times));
    for (size_t r = 0; r < ranks; ++r) seen[r].push_back(times[r] - times[0]);
  }
  std::vector<double> offsets;
  for (const std::vector<double>& rounds : seen) offsets.push_back(median_of(rounds));
  return offsets;
}

template <typename Sum>
double median_seconds(Communicator& world, int rounds, const Sum& sum) {
  std::vector<double> seconds;
  for (int round = 0; round < rounds; ++round) {
    world.barrier();
    const auto start = std::chrono::steady_clock::now();
    sum();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return world.max(median_of(seconds));
}

void measure_sums(Communicator& world, WorldFacts& facts) {
  double one = 0;
  facts.small_sum_seconds = median_seconds(world, kSmallRounds, [&] { one = world.sum(1.0); });
  std::vector<float> values(kLargeCount);
  const Tensor tensor{values.data(), DType::kF32, {kLargeCount}};
  facts.large_bytes = tensor.size_bytes();
  facts.large_sum_seconds = median_seconds(world, kLargeRounds, [&] {
    std::fill(values.begin(), values.end(), static_cast<float>(world.rank() + 1));
    world.all_reduce_sum(tensor);
  });
  // Small integers are exact in f32.
  const auto size = static_cast<double>(world.size());
  const auto expected = static_cast<float>(size * (size + 1) / 2);
  const bool wrong = one != size || std::any_of(values.begin(), values.end(), [&](float v) { return v != expected; });
  facts.sums_right = !world.any(wrong);
}

nlohmann::json facts_json(const RankFacts& facts) {
  return {{"rank", facts.rank},
          {"host", facts.host},
          {"cpus", facts.cpus},
          {"host_cpus", facts.host_cpus},
          {"program", facts.program},
          {"version", facts.version},
          {"mpi", facts.mpi},
          {"gpu", facts.gpu},
          {"clock_offset", facts.clock_offset}};
}

RankFacts facts_from_json(const nlohmann::json& document) {
  RankFacts facts;
  facts.rank = document.at("rank");
  facts.host = document.at("host");
  facts.cpus = document.at("cpus").get<std::vector<int>>();
  facts.host_cpus = document.at("host_cpus");
  facts.program = document.at("program");
  facts.version = document.at("version");
  facts.mpi = document.at("mpi");
  facts.gpu = document.at("gpu");
  facts.clock_offset = document.at("clock_offset");
  return facts;
}

}  // namespace

RankFacts own_facts(const std::string& version, const std::string& gpu) {
  RankFacts facts;
  facts.host = launch_context().host;
  facts.host_cpus = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) facts.cpus.push_back(cpu);
  facts.program = hash_file("/proc/self/exe");
  facts.version = version;
  facts.mpi = MpiSession::library_version();
  facts.gpu = gpu;
  return facts;
}

WorldFacts examine_world(Communicator& world, const RankFacts& mine) {
  WorldFacts facts;
  measure_sums(world, facts);
  const std::vector<double> offsets = clock_offsets(world);
  for (const std::string& text : world.all_gather_text(json_text(facts_json(mine)))) {
    facts.ranks.push_back(facts_from_json(nlohmann::json::parse(text)));
    RankFacts& rank = facts.ranks.back();
    rank.rank = static_cast<int>(facts.ranks.size()) - 1;
    rank.clock_offset = offsets[static_cast<size_t>(rank.rank)];
  }
  return facts;
}

nlohmann::json world_json(const WorldFacts& facts) {
  nlohmann::json ranks = nlohmann::json::array();
  for (const RankFacts& rank : facts.ranks) ranks.push_back(facts_json(rank));
  return {{"ranks", ranks},
          {"sums_right", facts.sums_right},
          {"small_sum_seconds", facts.small_sum_seconds},
          {"large_sum_seconds", facts.large_sum_seconds},
          {"large_bytes", facts.large_bytes}};
}

WorldFacts world_from_json(const nlohmann::json& document) {
  WorldFacts facts;
  for (const nlohmann::json& rank : document.at("ranks")) facts.ranks.push_back(facts_from_json(rank));
  facts.sums_right = document.at("sums_right");
  facts.small_sum_seconds = document.at("small_sum_seconds");
  facts.large_sum_seconds = document.at("large_sum_seconds");
  facts.large_bytes = document.at("large_bytes");
  return facts;
}

}  // namespace nexus
