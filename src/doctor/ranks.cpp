#include "doctor/ranks.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/hash.h"
#include "core/json_text.h"
#include "statistics/quantiles.h"
#include "system/clock.h"
#include "system/launch_environment.h"

namespace nexus {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RankFacts, rank, host, cpus, host_cpus, program, version, mpi, gpu, clock_offset)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(WorldFacts, ranks, sums_right, small_sum_seconds, large_sum_seconds, large_bytes)

namespace {

constexpr int kClockRounds = 15;
constexpr int kSmallRounds = 50, kLargeRounds = 7;
constexpr int64_t kLargeCount = 1 << 20;  // of f32: 4 MiB, above every eager limit, so that the large path is tried too

// How far every rank's wall clock is ahead of rank 0's. Ranks leave a barrier within microseconds to milliseconds; the
// median of several rounds leaves little of that.
std::vector<double> clock_offsets(Communicator& world) {
  const auto ranks = static_cast<size_t>(world.size());
  std::vector<std::vector<double>> seen(ranks);
  // f64 holds seconds of this century to 0.2 microseconds.
  for (int round = 0; round < kClockRounds; ++round) {
    std::vector<double> times(ranks, 0.0);
    world.barrier();
    times[static_cast<size_t>(world.rank())] = unix_seconds();
    world.sum(std::span<double>(times));
    for (size_t r = 0; r < ranks; ++r) seen[r].push_back(times[r] - times[0]);
  }
  std::vector<double> offsets;
  for (const std::vector<double>& rounds : seen) offsets.push_back(median(rounds));
  return offsets;
}

template <typename Sum>
double median_seconds(Communicator& world, int rounds, const Sum& sum) {
  std::vector<double> seconds;
  for (int round = 0; round < rounds; ++round) {
    world.barrier();
    const double start = steady_seconds();
    sum();
    seconds.push_back(steady_seconds() - start);
  }
  return world.max(median(seconds));
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

}  // namespace

RankFacts own_facts(const std::string& version, const std::string& gpu) {
  RankFacts facts;
  facts.host = launch_environment().host;
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
  for (const std::string& text : world.all_gather_text(json_text(nlohmann::json(mine)))) {
    facts.ranks.push_back(nlohmann::json::parse(text).get<RankFacts>());
    RankFacts& rank = facts.ranks.back();
    rank.rank = static_cast<int>(facts.ranks.size()) - 1;
    rank.clock_offset = offsets[static_cast<size_t>(rank.rank)];
  }
  return facts;
}

nlohmann::json world_json(const WorldFacts& facts) {
  return facts;
}

WorldFacts world_from_json(const nlohmann::json& document) {
  return document.get<WorldFacts>();
}

}  // namespace nexus
