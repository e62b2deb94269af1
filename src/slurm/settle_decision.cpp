#include "slurm/settle_decision.h"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <string_view>

#include "core/error.h"

namespace nexus {
namespace {

constexpr int kKilled = 128 + SIGKILL, kTerminated = 128 + SIGTERM;
constexpr std::string_view kBlindMark = "/blind-";  // no job's name has a slash

// How this start's ranks say that they have ended; nothing where they were killed, or could not say it.
std::optional<LaunchEnd> told_end(const SettleFacts& facts) {
  if (facts.status.end && facts.status.launch.job.is_same_start(facts.job)) return facts.status.end;
  return facts.lease_end;
}

bool is(int code, ExitCode expected) {
  return code == to_int(expected);
}

// What the ranks said. mpirun hides it: after a TERM it answers 1 whatever they said. srun answers 0 when Slurm
// declares a node of the job dead, while the ranks live on: a 0 that nothing confirms is no good end.
int code_of(const SettleFacts& facts) {
  if (is(facts.code, ExitCode::kFenced)) return facts.code;  // STATUS is the newer copy's
  if (const auto end = told_end(facts)) return to_int(end->exit);
  return facts.code == 0 || facts.code == 1 ? kKilled : facts.code;  // 1: srun's own failures, too
}

// The node of the job that the ranks suspect: Slurm's name for it, or with a domain, as hosts have it.
std::string suspect_node(const SettleFacts& facts) {
  const auto end = told_end(facts);
  for (const std::string& node : facts.nodes)
    if (end && (end->suspect_node == node || end->suspect_node.starts_with(node + "."))) return node;
  return "";
}

std::string reason_to_give_up(int code) {
  if (code == 126 || code == 127) return "nexus or its launcher cannot be run on this node";  // a shell's
  switch (static_cast<ExitCode>(code)) {
    case ExitCode::kBug: return "nexus failed: its last lines say why";
    case ExitCode::kConfig: return "the configuration is refused";
    case ExitCode::kData: return "data or checkpoints are bad";
    case ExitCode::kNumeric: return "the numbers went wrong";
    case ExitCode::kBudget: return "the budget is spent";
    case ExitCode::kNoProgress: return "start after start committed nothing";
    default: return "the code is none that another start mends";
  }
}

// "" where another start would end the same way.
std::string reason_to_requeue(int code) {
  if (code > 128) return "the ranks were killed";
  switch (static_cast<ExitCode>(code)) {
    case ExitCode::kStopped: return "stopped with a checkpoint";
    case ExitCode::kTransient: return "input, output or communication failed";
    case ExitCode::kHardware: return "hardware is suspected";
    default: return "";
  }
}

bool is_out_of_time(const SettleFacts& facts) {
  return facts.reason == "TimeLimit" || facts.state == "TIMEOUT";
}

// Starts in a row, this one included, of which nothing shows that nexus opened the run.
int64_t starts_in_vain(const SettleFacts& facts, int code) {
  const bool told = facts.status.launch.job.is_same_start(facts.job);
  const int64_t blind = facts.blind && !told && !is(code, ExitCode::kStopped) ? facts.blind_starts + 1 : 0;
  return std::max(facts.vain_starts, blind);
}

// Of several nodes nobody knows which one kept nexus from opening the run, and a node that was told to end its job is
// not to blame. A job with too few nodes left would wait for ever, so another one like it must be there; that of
// suspect hardware goes also where that is not known.
std::string node_to_avoid(const SettleFacts& facts, int code, int64_t vain) {
  if (facts.spare_nodes == 0) return "";
  if (is(code, ExitCode::kHardware)) return suspect_node(facts);
  const bool told_to_end = is(code, ExitCode::kStopped) || code == kTerminated || is_out_of_time(facts);
  return vain > 0 && facts.nodes.size() == 1 && facts.spare_nodes && !told_to_end ? facts.nodes[0] : "";
}

SettleDecision requeue(const SettleFacts& facts, int code) {
  // Time is up, and this job's time only: that is no one else's decision.
  if (!facts.state.empty() && facts.state != "RUNNING" && !is_out_of_time(facts))
    return {SettleAction::kLeave, code, "Slurm is ending this job already (cancelled, preempted or queued again)"};
  const int64_t vain = starts_in_vain(facts, code);
  if (vain >= kMostVainStarts)
    return {SettleAction::kGiveUp, to_int(ExitCode::kNoProgress),
            fmt::format("{} starts in a row {}", vain,
                        facts.vain_starts < vain ? "left nothing that could be read"
                                                 : "ended before nexus had opened the run")};
  if (facts.job.restart >= facts.max_requeues)
    return {SettleAction::kGiveUp, code,
            fmt::format("{}, but the job was queued again {} times already (slurm.max_requeues)",
                        reason_to_requeue(code), facts.job.restart)};
  return {SettleAction::kRequeue, code, reason_to_requeue(code), node_to_avoid(facts, code, vain),
          facts.blind ? vain : 0};
}

}  // namespace

SettleDecision decide_settle(const SettleFacts& facts) {
  const SlurmJob& writer = facts.status.launch.job;
  const int fenced = to_int(ExitCode::kFenced);
  if (facts.replaced || (writer.id == facts.job.id && writer.restart > facts.job.restart))
    return {SettleAction::kLeave, fenced, "a newer start of this job has taken over"};
  const int code = code_of(facts);
  if (is(code, ExitCode::kDone)) return {SettleAction::kFinish, code, "done"};
  if (code == fenced) return {SettleAction::kLeave, code, "a newer copy of this run has taken over"};
  if (!reason_to_requeue(code).empty()) return requeue(facts, code);
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
