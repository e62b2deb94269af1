#include "cli/thread_check.h"

#include <sched.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "comm/communicator.h"
#include "core/host.h"
#include "core/json_text.h"
#include "core/log.h"
#include "system/environment.h"

namespace nexus {
namespace {

constexpr double kManyThreads = 2;  // per core

std::optional<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<double> quota_at(const std::string& v2_folder, const std::string& v1_folder) {
  double quota = 0, period = 0;
  if (const auto text = first_line(v2_folder + "/cpu.max")) {
    std::istringstream(*text) >> quota >> period;  // "max 100000": no number, so no limit
  } else if (const auto v1_quota = first_line(v1_folder + "/cpu.cfs_quota_us")) {
    quota = std::atof(v1_quota->c_str());
    period = std::atof(first_line(v1_folder + "/cpu.cfs_period_us").value_or("0").c_str());
  }
  if (quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

// Of the process, as the kernel tells: "0::/user.slice" (version 2), "4:cpu,cpuacct:/job" (version 1).
std::string cgroup_path(const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  std::string path;
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    if (names == ",," || names.find(",cpu,") != std::string::npos) path = line.substr(second + 1);
    if (names.find(",cpu,") != std::string::npos) break;
  }
  return path == "/" ? "" : path;
}

std::vector<int> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  return cores;
}

RankThreads rank_from_json(const nlohmann::json& json) {
  RankThreads rank{json.at("host"), json.at("threads"), json.at("cores").get<std::vector<int>>(), std::nullopt};
  if (json.contains("cgroup_cores")) rank.cgroup_cores = json.at("cgroup_cores").get<double>();
  return rank;
}

}  // namespace

std::optional<double> cgroup_cores(const std::string& root) {
  // Every group above limits too; inside a container the path may not be mounted, but the top is the container's own.
  std::optional<double> least;
  std::string path = cgroup_path(root);
  while (true) {
    const auto quota = quota_at(root + "/sys/fs/cgroup" + path, root + "/sys/fs/cgroup/cpu" + path);
    if (quota && (!least || *quota < *least)) least = quota;
    if (path.empty()) return least;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

std::optional<int> threads_from_environment() {
  std::string value = environment("OMP_NUM_THREADS");
  value = value.substr(0, value.find(','));
  std::erase_if(value, [](unsigned char c) { return std::isspace(c) != 0; });
  int threads = 0;
  const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), threads);
  if (code != std::errc() || end != value.data() + value.size() || threads < 1) return std::nullopt;
  return threads;
}

std::vector<std::string> oversubscribed_hosts(const std::vector<RankThreads>& ranks) {
  struct Host {
    int ranks = 0;
    int64_t threads = 0;
    std::set<int> cores;
    std::optional<double> cgroup_cores;
  };
  std::map<std::string, Host> hosts;
  for (const RankThreads& rank : ranks) {
    Host& host = hosts[rank.host];
    ++host.ranks;
    host.threads += rank.threads;
    host.cores.insert(rank.cores.begin(), rank.cores.end());
    if (rank.cgroup_cores) host.cgroup_cores = std::max(host.cgroup_cores.value_or(0), *rank.cgroup_cores);
  }
  std::vector<std::string> warnings;
  for (const auto& [name, host] : hosts) {
    double cores = std::max<double>(1, static_cast<double>(host.cores.size()));
    if (host.cgroup_cores) cores = std::min(cores, std::max(1.0, *host.cgroup_cores));
    if (static_cast<double>(host.threads) <= kManyThreads * cores) continue;
    const auto each = static_cast<int64_t>(std::max(1.0, std::floor(cores / host.ranks)));
    const std::string cure = host.ranks > cores ? fmt::format("start at most {:.0f} ranks on it", std::floor(cores))
                                                : fmt::format("set OMP_NUM_THREADS={}", each);
    warnings.push_back(fmt::format(
        "{} rank{} on {} start{} {} threads on {:.3g} cores: they will wait for each other, and training will "
        "be many times slower; {}",
        host.ranks, host.ranks == 1 ? "" : "s", name, host.ranks == 1 ? "s" : "", host.threads, cores, cure));
  }
  return warnings;
}

void warn_of_threads(Communicator& world, int threads) {
  nlohmann::json mine{{"host", host_name()}, {"threads", threads}, {"cores", allowed_cores()}};
  if (const std::optional<double> cores = cgroup_cores()) mine["cgroup_cores"] = *cores;
  std::vector<RankThreads> ranks;
  for (const std::string& text : world.all_gather_text(json_text(mine)))
    ranks.push_back(rank_from_json(nlohmann::json::parse(text)));
  if (world.rank() != 0) return;
  const std::string text = environment("OMP_NUM_THREADS");
  if (!text.empty() && !threads_from_environment())
    warn(
        "OMP_NUM_THREADS is '{}', which is no number of threads: each rank starts {}; set a number from 1, or unset it",
        text, threads);
  for (const std::string& warning : oversubscribed_hosts(ranks)) warn_text(warning);
}

}  // namespace nexus
