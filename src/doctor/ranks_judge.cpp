#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "core/units.h"
#include "doctor/ranks.h"

namespace nexus {
namespace {

// Above the first, times in logs of two nodes cannot be put in order; above the second, munge comes near to refusing
// Slurm's messages (it allows 5 minutes).
constexpr double kClockWarning = 1, kClockProblem = 60;
// A sum of 8 bytes between idle ranks takes microseconds within a node, tens between nodes; above this somebody waits
// for a processor, or messages take a slow way.
constexpr double kSlowSmallSum = 1e-3;

using Ranks = std::vector<RankFacts>;

std::map<std::string, Ranks> by_host(const Ranks& ranks) {
  std::map<std::string, Ranks> hosts;
  for (const RankFacts& rank : ranks) hosts[rank.host].push_back(rank);
  return hosts;
}

// "rank 3 (host b)" for every rank whose value is not rank 0's; empty if all agree.
std::string dissenters(const Ranks& ranks, const std::function<std::string(const RankFacts&)>& value) {
  std::string text;
  for (const RankFacts& rank : ranks)
    if (value(rank) != value(ranks.front()))
      text += fmt::format("{}rank {} (host {})", text.empty() ? "" : ", ", rank.rank, printable(rank.host));
  return text;
}

void judge_agreement(const Ranks& ranks, Findings& found) {
  const auto same = [&](const std::string& what, const std::string& cure, auto value) {
    const std::string others = dissenters(ranks, value);
    if (!others.empty()) found.problem(what + " differs from rank 0's: " + printable(others), cure);
    return others.empty();
  };
  const bool program = same("the nexus executable", "start one file on a shared file system, or copy it to every node",
                            [](const RankFacts& rank) { return rank.version + rank.program; });
  const bool mpi =
      same("the MPI library", "load the same modules on every node", [](const RankFacts& rank) { return rank.mpi; });
  if (program && mpi && ranks.size() > 1)
    found.ok("all ranks run the same executable with " + printable(ranks.front().mpi));
}

void judge_hosts(const Ranks& ranks, Findings& found) {
  const auto hosts = by_host(ranks);
  size_t least = ranks.size(), most = 0;
  for (const auto& [host, members] : hosts) {
    least = std::min(least, members.size());
    most = std::max(most, members.size());
  }
  const std::string what = fmt::format("{} rank{} on {} host{}", ranks.size(), ranks.size() == 1 ? "" : "s",
                                       hosts.size(), hosts.size() == 1 ? "" : "s");
  if (least == most)
    found.ok(what);
  else
    found.warning(fmt::format("{}: {} on one, {} on another", what, least, most),
                  "start as many on every host: srun --ntasks-per-node=N, or mpirun --map-by ppr:N:node");
}

// Processors of one host's ranks: too few, or the same ones for two ranks that are bound.
void judge_cpus(const std::string& host, const Ranks& ranks, Findings& found) {
  const int online = ranks.front().host_cpus;
  std::map<std::vector<int>, std::vector<int>> bound;  // ranks by the set they are bound to
  std::set<int> used;
  for (const RankFacts& rank : ranks) {
    if (static_cast<int>(rank.cpus.size()) < online) bound[rank.cpus].push_back(rank.rank);
    used.insert(rank.cpus.begin(), rank.cpus.end());
  }
  for (const auto& [cpus, members] : bound)
    if (members.size() > cpus.size())
      found.warning(fmt::format("host {}: {} ranks are bound to processors {}, rank {} first", printable(host),
                                members.size(), cpu_list(cpus), members.front()),
                    "mpirun --bind-to none, or srun --cpus-per-task=N --cpu-bind=cores");
  const auto count = static_cast<int>(ranks.size());
  if (count > online) {
    found.warning(fmt::format("host {}: {} ranks on {} processors", printable(host), count, online),
                  "start fewer; for tests: mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1");
  } else if (static_cast<int>(used.size()) * 2 <= online && !bound.empty()) {
    found.warning(fmt::format("host {}: its ranks may use {} of {} processors", printable(host), used.size(), online),
                  fmt::format("mpirun --bind-to none, or srun --cpus-per-task={}", online / count));
  }
}

void judge_gpus(const std::string& host, const Ranks& ranks, Findings& found) {
  std::map<std::string, std::vector<int>> takers;
  for (const RankFacts& rank : ranks)
    if (!rank.gpu.empty()) takers[rank.gpu].push_back(rank.rank);
  for (const auto& [gpu, members] : takers)
    if (members.size() > 1)
      found.problem(fmt::format("host {}: ranks {} and {} would take the same GPU, {}", printable(host), members[0],
                                members[1], printable(gpu)),
                    "one rank per GPU: srun --gpus-per-task=1, or as many ranks on a node as it has GPUs");
}

void judge_clocks(const Ranks& ranks, Findings& found) {
  if (by_host(ranks).size() < 2) return;
  const RankFacts* worst = &ranks.front();
  double least = 0, most = 0;
  for (const RankFacts& rank : ranks) {
    least = std::min(least, rank.clock_offset);
    most = std::max(most, rank.clock_offset);
    if (std::abs(rank.clock_offset) > std::abs(worst->clock_offset)) worst = &rank;
  }
  const double apart = most - least;
  const std::string what = fmt::format("wall clocks of the hosts are {:.6f} s apart (rank {} on {} most from rank 0)",
                                       apart, worst->rank, printable(worst->host));
  const Level level = apart > kClockProblem ? Level::kProblem : apart > kClockWarning ? Level::kWarning : Level::kOk;
  found.add(level, what, level == Level::kOk ? "" : "keep the clocks by NTP: timedatectl set-ntp true on each host")
      .figures["seconds"] = apart;
}

void judge_sums(const WorldFacts& facts, Findings& found) {
  const auto ranks = static_cast<double>(facts.ranks.size());
  if (!facts.sums_right) {
    found.problem("sums over the ranks are wrong",
                  "this MPI moves wrong bytes: try mpirun --mca "
                  "btl_vader_single_copy_mechanism none, then another MPI");
    return;
  }
  if (facts.ranks.size() < 2) return;
  // Every rank sends and receives 2 (n - 1) / n of the message at least.
  const double rate = 2 * (ranks - 1) / ranks * static_cast<double>(facts.large_bytes) / facts.large_sum_seconds;
  const std::string what = fmt::format("all-reduce over {} ranks: 8 bytes in {:.1f} us, {} at {}/s per rank",
                                       facts.ranks.size(), facts.small_sum_seconds * 1e6,
                                       format_bytes(facts.large_bytes), format_bytes(static_cast<int64_t>(rate)));
  const bool slow = facts.small_sum_seconds > kSlowSmallSum;
  found
      .add(slow ? Level::kWarning : Level::kOk, what,
           slow ? "give each rank a processor of its own; between nodes see which network is used: mpirun --mca "
                  "pml_base_verbose 10"
                : "")
      .figures = {{"small_sum_seconds", facts.small_sum_seconds}, {"bytes_per_second", rate}};
}

}  // namespace

std::string cpu_list(const std::vector<int>& cpus) {
  std::string text;
  for (size_t begin = 0; begin < cpus.size();) {
    size_t end = begin;
    while (end + 1 < cpus.size() && cpus[end + 1] == cpus[end] + 1) ++end;
    text += fmt::format("{}{}", text.empty() ? "" : ",", cpus[begin]);
    if (end > begin) text += fmt::format("-{}", cpus[end]);
    begin = end + 1;
  }
  return text;
}

std::vector<Finding> judge_world(const WorldFacts& facts) {
  NX_CHECK(!facts.ranks.empty());
  Findings found("mpi"), clocks("clocks"), gpus("cuda");
  judge_hosts(facts.ranks, found);
  judge_agreement(facts.ranks, found);
  for (const auto& [host, ranks] : by_host(facts.ranks)) {
    judge_cpus(host, ranks, found);
    judge_gpus(host, ranks, gpus);
  }
  judge_sums(facts, found);
  judge_clocks(facts.ranks, clocks);
  found.append(gpus.list());
  found.append(clocks.list());
  return found.list();
}

}  // namespace nexus
