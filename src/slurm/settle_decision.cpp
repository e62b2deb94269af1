#include "slurm/settle_decision.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <csignal>
#include <string_view>

#include "core/error.h"

namespace nexus {
namespace {

constexpr int kStopped = to_int(ExitCode::kStopped), kHardware = to_int(ExitCode::kHardware),
              kFenced = to_int(ExitCode::kFenced), kNoProgress = to_int(ExitCode::kNoProgress),
              kBudget = to_int(ExitCode::kBudget), kTransient = to_int(ExitCode::kTransient);
constexpr int kKilled = 128 + SIGKILL, kTerminated = 128 + SIGTERM;
constexpr std::string_view kBlindMark = "/blind-";  // no job's name has a slash

std::vector<std::string> groups_of(const std::string& line) {
  std::vector<std::string> groups;
  for (size_t begin = 0; begin <= line.size();) {
    const size_t end = std::min(line.find(" | ", begin), line.size());
    groups.push_back(line.substr(begin, end - begin));
    begin = end + 3;
  }
  return groups;
}

// The number behind `word`, where the group begins with it.
std::optional<int64_t> number_after(const std::string& group, const std::string& word) {
  if (!group.starts_with(word)) return std::nullopt;
  int64_t value = 0;
  const char *begin = group.data() + word.size(), *end = group.data() + group.size();
  const auto parsed = std::from_chars(begin, end, value);
  return parsed.ec == std::errc() && (parsed.ptr == end || *parsed.ptr == ' ') ? std::optional(value) : std::nullopt;
}

// What the ranks said. mpirun hides it: after a TERM it answers 1 whatever they said. srun answers 0 when Slurm
// declares a node of the job dead, while the ranks live on: a 0 that STATUS does not confirm is no good end.
int code_of(const SettleFacts& facts) {
  if (facts.code == kFenced) return kFenced;  // the line is the newer copy's
  const RunStatus& status = facts.status;
  if (status.exit && status.job == facts.job && status.restart == facts.restart) return *status.exit;
  return facts.code == 0 || facts.code == 1 ? kKilled : facts.code;  // 1: srun's own failures, too
}

bool is_name_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
}

bool names(const std::string& text, const std::string& node) {
  for (size_t at = text.find(node); at != std::string::npos; at = text.find(node, at + 1)) {
    const size_t end = at + node.size();
    if ((at == 0 || !is_name_character(text[at - 1])) && (end == text.size() || !is_name_character(text[end])))
      return true;
  }
  return false;
}

std::string suspect_node(const SettleFacts& facts) {
  for (const std::string& node : facts.nodes)
    if (names(facts.status.text, node)) return node;
  return "";
}

std::string reason_to_give_up(int code) {
  switch (code) {
    case 1: return "nexus failed: its last lines say why";
    case 2: return "the configuration is refused";
    case 3: return "data or checkpoints are bad";
    case 4: return "the numbers went wrong";
    case kBudget: return "the budget is spent";
    case kNoProgress: return "start after start committed nothing";
    case 126:
    case 127: return "nexus or its launcher cannot be run on this node";
    default: return "the code is none that another start mends";
  }
}

std::string reason_to_requeue(int code) {
  if (code == kStopped) return "stopped with a checkpoint";
  if (code == kTransient) return "input, output or communication failed";
  if (code == kHardware) return "hardware is suspected";
  return "the ranks were killed";
}

bool is_out_of_time(const SettleFacts& facts) {
  return facts.reason == "TimeLimit" || facts.state == "TIMEOUT";
}

// Starts in a row, this one included, of which nothing shows that nexus opened the run.
int64_t starts_in_vain(const SettleFacts& facts, int code) {
  const bool told = facts.status.job == facts.job && facts.status.restart == facts.restart;
  const int64_t blind = facts.blind && !told && code != kStopped ? facts.blind_starts + 1 : 0;
  return std::max(facts.vain_starts, blind);
}

// Of several nodes nobody knows which one kept nexus from opening the run, and a node that was told to end its job is
// not to blame. A job with too few nodes left would wait for ever, so another one like it must be there; that of
// suspect hardware goes also where that is not known.
std::string node_to_avoid(const SettleFacts& facts, int code, int64_t vain) {
  if (facts.spare_nodes == 0) return "";
  if (code == kHardware) return suspect_node(facts);
  const bool told_to_end = code == kStopped || code == kTerminated || is_out_of_time(facts);
  return vain > 0 && facts.nodes.size() == 1 && facts.spare_nodes && !told_to_end ? facts.nodes[0] : "";
}

SettleDecision requeue(const SettleFacts& facts, int code) {
  // Time is up, and this job's time only: that is no one else's decision.
  if (!facts.state.empty() && facts.state != "RUNNING" && !is_out_of_time(facts))
    return {SettleAction::kLeave, code, "Slurm is ending this job already (cancelled, preempted or queued again)"};
  const int64_t vain = starts_in_vain(facts, code);
  if (vain >= kMostVainStarts)
    return {SettleAction::kGiveUp, kNoProgress,
            fmt::format("{} starts in a row {}", vain,
                        facts.vain_starts < vain ? "left nothing that could be read"
                                                 : "ended before nexus had opened the run")};
  if (facts.restart >= facts.max_requeues)
    return {SettleAction::kGiveUp, code,
            fmt::format("{}, but the job was queued again {} times already (slurm.max_requeues)",
                        reason_to_requeue(code), facts.restart)};
  return {SettleAction::kRequeue, code, reason_to_requeue(code), node_to_avoid(facts, code, vain),
          facts.blind ? vain : 0};
}

}  // namespace

RunStatus parse_status(const std::string& line) {
  RunStatus status;
  const std::vector<std::string> groups = groups_of(line.substr(0, line.find('\n')));
  for (size_t i = 0; i < groups.size(); ++i) {
    const auto exit = number_after(groups[i], "exit "), job = number_after(groups[i], "job ");
    if (exit) status.exit = static_cast<int>(*exit);
    if (job) {
      status.job = std::to_string(*job);
      const size_t restart = groups[i].find(" restart ");
      if (restart != std::string::npos)
        status.restart = number_after(groups[i].substr(restart + 1), "restart ").value_or(0);
    }
    if (!exit && !job && !number_after(groups[i], "generation "))
      status.text += (status.text.empty() ? "" : " | ") + groups[i];
  }
  return status;
}

SettleDecision decide_settle(const SettleFacts& facts) {
  if (facts.replaced || (facts.status.job == facts.job && facts.status.restart > facts.restart))
    return {SettleAction::kLeave, kFenced, "a newer start of this job has taken over"};
  const int code = code_of(facts);
  if (code == 0) return {SettleAction::kFinish, 0, "done"};
  if (code == kFenced) return {SettleAction::kLeave, kFenced, "a newer copy of this run has taken over"};
  if (code == kStopped || code == kTransient || code == kHardware || code > 128) return requeue(facts, code);
  return {SettleAction::kGiveUp, code, reason_to_give_up(code)};
}

int64_t blind_starts_before(const std::string& comment, int64_t restart) {
  const size_t mark = comment.find(kBlindMark);
  if (mark == std::string::npos) return 0;
  const std::string text = comment.substr(mark + kBlindMark.size());
  int64_t then = 0, count = 0;
  const char* all = text.data() + text.size();
  const auto first = std::from_chars(text.data(), all, then);
  if (first.ec != std::errc() || first.ptr == all || then != restart - 1) return 0;
  const auto second = std::from_chars(first.ptr + 1, all, count);
  return second.ec == std::errc() ? std::max<int64_t>(count, 0) : 0;
}

std::string comment_after_blind(const std::string& comment, int64_t restart, int64_t blind_starts) {
  return fmt::format("{}{}{}-{}", comment.substr(0, comment.find(kBlindMark)), kBlindMark, restart, blind_starts);
}

}  // namespace nexus
