#include "slurm/spare_nodes.h"

#include <algorithm>
#include <array>
#include <set>
#include <sstream>

#include "slurm/queue.h"

namespace nexus {
namespace {

constexpr const char* kSinfoFormat = "--format=%N|%t|%c|%m|%f|%G";

struct ListedNode {
  std::string name, state, kind;
};

std::vector<ListedNode> nodes_of(const std::string& listing) {
  std::vector<ListedNode> nodes;
  std::istringstream lines(listing);
  for (std::string line; std::getline(lines, line);) {
    const size_t state = line.find('|'), kind = line.find('|', state + 1);
    if (state == std::string::npos || kind == std::string::npos) continue;
    nodes.push_back({line.substr(0, state), line.substr(state + 1, kind - state - 1), line.substr(kind)});
  }
  return nodes;
}

// Free, or busy with jobs that end. Signs behind the state: ~ and # saves power or starts, - is planned for a job;
// others mean that it does not answer, or that it is about to be taken away.
bool works(std::string state) {
  static constexpr std::array<const char*, 5> kStates = {"idle", "mix", "alloc", "comp", "plnd"};
  if (!state.empty() && std::string("~#-").find(state.back()) != std::string::npos) state.pop_back();
  return std::find(kStates.begin(), kStates.end(), state) != kStates.end();
}

}  // namespace

std::vector<std::string> nodes_of_list(const std::string& list) {
  std::vector<std::string> nodes;
  if (list.empty() || list == "(null)") return nodes;
  std::istringstream lines(run_slurm({"scontrol", "show", "hostnames", list}).output);
  for (std::string line; std::getline(lines, line);) nodes.push_back(line);
  return nodes;
}

std::optional<int64_t> count_spare_nodes(const std::string& listing, const std::vector<std::string>& nodes,
                                         const std::vector<std::string>& excluded) {
  const std::vector<ListedNode> listed = nodes_of(listing);
  const auto among = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  std::set<std::string> kinds, spare;
  for (const ListedNode& node : listed)
    if (among(nodes, node.name)) kinds.insert(node.kind);
  if (kinds.empty()) return std::nullopt;
  for (const ListedNode& node : listed)
    if (kinds.contains(node.kind) && works(node.state) && !among(nodes, node.name) && !among(excluded, node.name))
      spare.insert(node.name);
  return static_cast<int64_t>(spare.size());
}

std::string list_partition(const std::string& partition) {
  return run_slurm({"sinfo", "--noheader", "--Node", "--partition=" + partition, kSinfoFormat}).output;
}

}  // namespace nexus
