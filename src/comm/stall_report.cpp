#include "comm/stall_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>
#include <utility>

#include "core/error.h"

namespace nexus {
namespace {

std::string at(const progress::Operation& operation) {
  return fmt::format("{} ({}, sequence {})", operation.name, operation.communicator, operation.sequence);
}

// A rank of those that wait where most waiting ranks wait, and their number. Null if none waits.
std::pair<const StallDump*, int> commonest_wait(const std::vector<StallDump>& dumps) {
  std::map<std::string, std::pair<const StallDump*, int>> waits;
  for (const StallDump& dump : dumps)
    if (dump.state.inside) {
      auto& [first, count] = waits[at(dump.state.operation)];
      if (count++ == 0) first = &dump;
    }
  std::pair<const StallDump*, int> best{nullptr, 0};
  for (const auto& [text, wait] : waits)
    if (wait.second > best.second) best = wait;
  return best;
}

// Ranks that wait in another operation than most, on the same communicator: they took another way through the program.
std::vector<const StallDump*> ranks_astray(const std::vector<StallDump>& dumps, const progress::Operation& common) {
  std::vector<const StallDump*> astray;
  for (const StallDump& dump : dumps) {
    const progress::Operation& own = dump.state.operation;
    if (dump.state.inside && own.communicator == common.communicator && own.first_rank == common.first_rank &&
        at(own) != at(common))
      astray.push_back(&dump);
  }
  return astray;
}

std::vector<int> ranks_without_dump(const std::vector<StallDump>& dumps, int size) {
  std::vector<int> missing;
  for (int rank = 0; rank < size; ++rank)
    if (std::none_of(dumps.begin(), dumps.end(), [rank](const StallDump& dump) { return dump.rank == rank; }))
      missing.push_back(rank);
  return missing;
}

// Ranks that have started fewer collectives on a communicator than another of its ranks.
std::vector<const StallDump*> ranks_behind(const std::vector<StallDump>& dumps) {
  using Group = std::pair<std::string, int>;  // groups of one name differ in their first rank
  std::map<Group, int64_t> furthest;
  for (const StallDump& dump : dumps)
    for (const progress::Channel::State& channel : dump.state.channels) {
      int64_t& sequence = furthest[{channel.communicator, channel.first_rank}];
      sequence = std::max(sequence, channel.sequence);
    }
  std::vector<const StallDump*> behind;
  for (const StallDump& dump : dumps)
    if (std::any_of(dump.state.channels.begin(), dump.state.channels.end(), [&](const auto& channel) {
          return channel.sequence < furthest[{channel.communicator, channel.first_rank}];
        }))
      behind.push_back(&dump);
  return behind;
}

struct Suspicion {
  std::string what, todo;
};

// "rank 1 is WHERE", "ranks 1 and 2 are WHERE"
Suspicion accuse(const std::vector<const StallDump*>& dumps, const std::string& where) {
  std::vector<int> ranks;
  for (const StallDump* dump : dumps) ranks.push_back(dump->rank);
  const bool one = dumps.size() == 1;
  return {fmt::format("{} {} {}", rank_list(ranks), one ? "is" : "are", where),
          fmt::format("read the stack in rank{}.txt{}, then run the same command again", ranks[0], one ? "" : " ...")};
}

Suspicion suspect(const std::vector<StallDump>& dumps, int size, const StallDump* common) {
  if (const std::vector<int> missing = ranks_without_dump(dumps, size); !missing.empty())
    return {rank_list(missing) + " left no dump (stopped, dead or its node is gone)",
            "look at the nodes of the ranks without a dump, then run the same command again"};
  std::vector<const StallDump*> outside;
  for (const StallDump& dump : dumps)
    if (!dump.state.inside) outside.push_back(&dump);
  if (!outside.empty()) {
    const progress::Snapshot& state = outside[0]->state;
    if (state.operation.name.empty()) return accuse(outside, "in no collective");
    return accuse(outside, fmt::format("in no collective, last in {} {:.0f} s ago", at(state.operation),
                                       state.operation_seconds));
  }
  if (const std::vector<const StallDump*> behind = ranks_behind(dumps); !behind.empty())
    return accuse(behind, "behind in " + at(behind[0]->state.operation));
  if (const auto astray = ranks_astray(dumps, common->state.operation); !astray.empty())
    return accuse(astray, fmt::format("in {} instead", at(astray[0]->state.operation)));
  return {"no rank is behind the others: the network or the MPI library is stuck",
          "check the network between the nodes, then run the same command again"};
}

std::string with_channels(const progress::Snapshot& state) {
  std::string text;
  for (const progress::Channel::State& channel : state.channels)
    text += fmt::format("channel: first_rank {} size {} sequence {} name {}\n", channel.first_rank, channel.size,
                        channel.sequence, channel.communicator);
  return text;
}

bool read_channel(const std::string& value, progress::Snapshot& state) {
  std::istringstream words(value);
  std::string key;
  progress::Channel::State channel;
  words >> key >> channel.first_rank >> key >> channel.size >> key >> channel.sequence >> key >> channel.communicator;
  if (words) state.channels.push_back(channel);
  return static_cast<bool>(words);
}

// Sets the field of one `key: value` line; unknown keys are for people.
bool read_field(const std::string& key, const std::string& value, StallDump& dump) {
  progress::Snapshot& state = dump.state;
  std::map<std::string, std::string*> texts{{"time", &dump.time},
                                            {"host", &dump.host},
                                            {"phase", &state.phase},
                                            {"operation", &state.operation.name},
                                            {"communicator", &state.operation.communicator},
                                            {"type", &state.operation.type}};
  if (const auto text = texts.find(key); text != texts.end()) {
    *text->second = value;
    return true;
  }
  if (key == "channel") return read_channel(value, state);
  std::istringstream number(value);
  if (key == "rank") number >> dump.rank;
  if (key == "size") number >> dump.size;
  if (key == "pid") number >> dump.pid;
  if (key == "idle_seconds") number >> dump.idle_seconds;
  if (key == "first_rank") number >> state.operation.first_rank;
  if (key == "sequence") number >> state.operation.sequence;
  if (key == "elements") number >> state.operation.elements;
  if (key == "operation_seconds") number >> state.operation_seconds;
  if (key == "inside") state.inside = value == "yes";
  return !number.fail();
}

}  // namespace

std::string rank_list(const std::vector<int>& ranks) {
  constexpr size_t kShown = 8;
  std::string text = ranks.size() == 1 ? "rank" : "ranks";
  for (size_t i = 0; i < std::min(ranks.size(), kShown); ++i) {
    const bool last = i + 1 == ranks.size();
    text += fmt::format("{}{}", i == 0 ? " " : last ? " and " : ", ", ranks[i]);
  }
  if (ranks.size() > kShown) text += fmt::format(", ... ({} in all)", ranks.size());
  return text;
}

std::string render_dump(const StallDump& dump) {
  const progress::Snapshot& state = dump.state;
  std::string text = "nexus: this rank made no progress\n";
  text += fmt::format("time: {}\nhost: {}\npid: {}\nrank: {}\nsize: {}\nidle_seconds: {:.1f}\nphase: {}\n", dump.time,
                      dump.host, dump.pid, dump.rank, dump.size, dump.idle_seconds, state.phase);
  text +=
      fmt::format("inside: {}\noperation: {}\ncommunicator: {}\nfirst_rank: {}\nsequence: {}\nelements: {}\ntype: {}\n",
                  state.inside ? "yes" : "no", state.operation.name, state.operation.communicator,
                  state.operation.first_rank, state.operation.sequence, state.operation.elements, state.operation.type);
  text += fmt::format("operation_seconds: {:.1f}\n", state.operation_seconds);
  text += with_channels(state) + "stack:\n";
  if (dump.stack.empty()) text += "  (the main thread did not answer)\n";
  for (size_t i = 0; i < dump.stack.size(); ++i) text += fmt::format("  #{} {}\n", i, dump.stack[i]);
  return text;
}

std::optional<StallDump> parse_dump(const std::string& text) {
  StallDump dump;
  std::istringstream lines(text);
  std::string line;
  if (!std::getline(lines, line) || !line.starts_with("nexus: ")) return {};
  while (std::getline(lines, line) && line != "stack:") {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) return {};
    if (!read_field(line.substr(0, colon), line.substr(std::min(colon + 2, line.size())), dump)) return {};
  }
  if (line != "stack:") return {};
  while (std::getline(lines, line)) dump.stack.push_back(line);
  return dump;
}

std::string explain_stall(const std::vector<StallDump>& dumps, int size, const std::string& folder) {
  NX_CHECK(!dumps.empty(), "no dump in {}", folder);
  double idle = 0;
  for (const StallDump& dump : dumps) idle = std::max(idle, dump.idle_seconds);
  const auto [common, count] = commonest_wait(dumps);
  const std::string& phase = (common == nullptr ? dumps.front() : *common).state.phase;
  const std::string waits =
      common == nullptr ? "" : fmt::format("{} of {} ranks wait in {}; ", count, size, at(common->state.operation));
  const Suspicion suspicion = suspect(dumps, size, common);
  return fmt::format("no progress for {:.0f} s in {}: {}{}; {}; {}", idle, phase, waits, suspicion.what, folder,
                     suspicion.todo);
}

}  // namespace nexus
