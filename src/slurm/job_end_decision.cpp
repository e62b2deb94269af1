#include "slurm/job_end_decision.h"

#include <csignal>

#include "core/error.h"

namespace nexus {
namespace {

constexpr int kKilled = 128 + SIGKILL, kTerminated = 128 + SIGTERM;

// How this start's ranks say that they have ended; nothing where they were killed, or could not say it.
std::optional<LaunchEnd> told_end(const JobEndFacts& facts) {
  if (facts.status.end && facts.status.launch.job.is_same_start(facts.job)) return facts.status.end;
  return facts.lease_end;
}

bool is(int code, ExitCode expected) {
  return code == to_int(expected);
}

// What the ranks said. mpirun hides it: after a TERM it answers 1 whatever they said. srun answers 0 when Slurm
// declares a node of the job dead, while the ranks live on: a 0 that nothing confirms is no good end.
int code_of(const JobEndFacts& facts) {
  if (is(facts.code, ExitCode::kFenced)) return facts.code;  // STATUS is the newer copy's
  if (const auto end = told_end(facts)) return to_int(end->exit);
  return facts.code == 0 || facts.code == 1 ? kKilled : facts.code;  // 1: srun's own failures, too
}

// The node of the job that the ranks suspect: Slurm's name for it, or with a domain, as hosts have it.
std::string suspect_node(const JobEndFacts& facts) {
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

bool is_out_of_time(const JobEndFacts& facts) {
  return facts.reason == "TimeLimit" || facts.state == "TIMEOUT";
}

// Failed starts in a row, this one included; 0 where it has opened the run, or is not known not to have.
int64_t failed_starts(const JobEndFacts& facts, int code) {
  const bool told = facts.status.launch.job.is_same_start(facts.job);
  const bool opened = facts.opened.value_or(told || is(code, ExitCode::kStopped));
  return opened ? 0 : facts.failed_before + 1;
}

// Of several nodes nobody knows which one kept nexus from opening the run, and a node that was told to end its job is
// not suspect. A job with too few nodes left would wait for ever, so another one like it must be there; that of
// suspect hardware goes also where that is not known.
std::string node_to_avoid(const JobEndFacts& facts, int code, int64_t failed) {
  if (facts.spare_nodes == 0) return "";
  if (is(code, ExitCode::kHardware)) return suspect_node(facts);
  const bool told_to_end = is(code, ExitCode::kStopped) || code == kTerminated || is_out_of_time(facts);
  return failed > 0 && facts.nodes.size() == 1 && facts.spare_nodes && !told_to_end ? facts.nodes[0] : "";
}

JobEndDecision requeue(const JobEndFacts& facts, int code) {
  // Time is up, and this job's time only: that is no one else's decision.
  if (!facts.state.empty() && facts.state != "RUNNING" && !is_out_of_time(facts))
    return {JobEndAction::kLeave, code, "Slurm is ending this job already (cancelled, preempted or queued again)"};
  const int64_t failed = failed_starts(facts, code);
  if (failed >= kMostFailedStarts)
    return {JobEndAction::kGiveUp, to_int(ExitCode::kNoProgress),
            fmt::format("{} starts in a row have committed nothing, and the last one {}", failed,
                        facts.opened.has_value() ? "ended before nexus had opened the run"
                                                 : "left nothing that could be read")};
  if (facts.job.restart >= facts.max_requeues)
    return {JobEndAction::kGiveUp, code,
            fmt::format("{}, but the job was queued again {} times already (slurm.max_requeues)",
                        reason_to_requeue(code), facts.job.restart)};
  return {JobEndAction::kRequeue, code, reason_to_requeue(code), node_to_avoid(facts, code, failed),
          facts.opened.has_value() ? 0 : failed};
}

}  // namespace

JobEndDecision decide_job_end(const JobEndFacts& facts) {
  const SlurmJob& writer = facts.status.launch.job;
  const int fenced = to_int(ExitCode::kFenced);
  if (facts.replaced || (writer.id == facts.job.id && writer.restart > facts.job.restart))
    return {JobEndAction::kLeave, fenced, "a newer start of this job has taken over"};
  const int code = code_of(facts);
  if (is(code, ExitCode::kDone)) return {JobEndAction::kFinish, code, "done"};
  if (code == fenced) return {JobEndAction::kLeave, code, "a newer copy of this run has taken over"};
  if (!reason_to_requeue(code).empty()) return requeue(facts, code);
  return {JobEndAction::kGiveUp, code, reason_to_give_up(code)};
}

}  // namespace nexus
