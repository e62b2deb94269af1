// What a cluster's settings mean for jobs of nexus.
#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "core/exit_code.h"
#include "doctor/slurm_facts.h"

namespace nexus {
namespace {

using Record = std::map<std::string, std::string>;

std::string value_of(const Record& record, const std::string& key) {
  const auto found = record.find(key);
  return found == record.end() ? "" : found->second;
}

bool contains(const std::string& text, const char* word) {
  return text.find(word) != std::string::npos;
}

void judge_requeue(const Record& config, Findings& found) {
  const std::string requeue = value_of(config, "JobRequeue");
  if (requeue == "0")
    found.note("JobRequeue 0: jobs are requeued only if they ask for it", "submit with --requeue");
  else if (requeue == "1")
    found.ok("JobRequeue 1: a job may be requeued after preemption and node failure");
  // Codes by which nexus asks for another start, or forbids one: Slurm must leave them to the job script.
  for (const char* key : {"RequeueExit", "RequeueExitHold"}) {
    std::istringstream codes(value_of(config, key));
    for (std::string code; std::getline(codes, code, ',');)
      for (const int own : {to_int(ExitCode::kStopped), to_int(ExitCode::kNoProgress)})
        if (code == std::to_string(own))
          found.warning(fmt::format("{} holds {}: Slurm requeues by itself what nexus decides about", key, own),
                        fmt::format("ask to have {} taken out of {} in slurm.conf", own, key));
  }
}

void judge_limits(const Record& config, Findings& found) {
  if (const auto wait = leading_number(value_of(config, "KillWait")))
    found.ok(
        fmt::format("KillWait {} s: from TERM to KILL at a time limit; nexus stops itself earlier "
                    "(slurm.stop_margin)",
                    *wait));
  if (const auto over = leading_number(value_of(config, "OverTimeLimit")); over && *over > 0)
    found.note(fmt::format("OverTimeLimit {} min: jobs may overrun their limit; nexus does not count on it", *over));
  const std::string over = value_of(config, "OverTimeLimit");
  if (over == "UNLIMITED") found.note("OverTimeLimit UNLIMITED: time limits end no job; nexus keeps them all the same");
}

void judge_mpi_default(const Record& config, Findings& found) {
  const std::string mpi = value_of(config, "MpiDefault");
  if (mpi.empty()) return;
  if (contains(mpi, "pmix"))
    found.ok("MpiDefault " + printable(mpi) + ": a plain srun starts one MPI world");
  else
    found.note("MpiDefault " + printable(mpi) + ": a plain srun starts ranks that do not find each other",
               "srun --mpi=pmix");
}

void judge_preempt_mode(const Record& config, Findings& found) {
  const std::string mode = value_of(config, "PreemptMode"), type = value_of(config, "PreemptType");
  if (mode.empty()) return;
  if (contains(type, "preempt/none") || mode == "OFF")
    found.ok("no preemption");
  else if (contains(mode, "REQUEUE"))
    found.ok("PreemptMode " + printable(mode) + ": a preempted job is requeued and nexus continues");
  else if (contains(mode, "CANCEL"))
    found.warning("PreemptMode " + printable(mode) + ": a preempted job is cancelled, not requeued",
                  "submit again after a preemption (the run folder continues), or ask for PreemptMode=REQUEUE");
  if (contains(mode, "SUSPEND") || contains(mode, "GANG"))
    found.warning("PreemptMode " + printable(mode) + ": a suspended job looks like one that hangs",
                  "set safety.watchdog.step above the longest suspension, or use a partition that is not suspended");
}

// The partition's own mode, or the cluster's.
std::string preempt_mode(const Record& partition, const Record& config) {
  const std::string own = value_of(partition, "PreemptMode");
  return own.empty() ? value_of(config, "PreemptMode") : own;
}

}  // namespace

std::vector<Finding> judge_slurm_config(const Record& config) {
  Findings found("slurm");
  judge_requeue(config, found);
  judge_preempt_mode(config, found);
  judge_limits(config, found);
  judge_mpi_default(config, found);
  return found.list();
}

std::vector<Finding> judge_slurm_partitions(const std::vector<Record>& partitions, const Record& config) {
  Findings found("slurm");
  const bool preempts = !contains(value_of(config, "PreemptType"), "preempt/none");
  for (const Record& partition : partitions) {
    const std::string name = printable(value_of(partition, "PartitionName"));
    const std::string mode = preempt_mode(partition, config);
    const long grace = leading_number(value_of(partition, "GraceTime")).value_or(0);
    std::string what = fmt::format(
        "partition {}{}: MaxTime {}, DefaultTime {}", name, value_of(partition, "Default") == "YES" ? " (default)" : "",
        printable(value_of(partition, "MaxTime")), printable(value_of(partition, "DefaultTime")));
    const std::string state = value_of(partition, "State");
    if (!state.empty() && state != "UP") {
      found.warning(what + ", State " + printable(state), "use another partition: sinfo --summarize");
    } else if (!preempts || mode == "OFF" || mode.empty()) {
      found.ok(what + ", not preempted");
    } else if (grace == 0) {
      found.warning(fmt::format("{}, preempted ({}) with GraceTime 0: little or no notice before the kill", what,
                                printable(mode)),
                    "start ranks with srun, keep checkpoint.every short, or ask for a GraceTime above one save");
    } else {
      found.ok(fmt::format("{}, preempted ({}) {} s after a notice", what, printable(mode), grace));
    }
  }
  return found.list();
}

std::vector<Finding> judge_slurm_nodes(const std::vector<SinfoLine>& lines) {
  Findings found("slurm");
  std::map<std::string, std::pair<long, long>> usable;  // nodes that can take jobs, nodes in all
  for (const SinfoLine& line : lines) {
    auto& [up, all] = usable[line.partition];
    const auto is = [&](const char* state) { return line.state.rfind(state, 0) == 0; };
    const bool silent = !line.state.empty() && line.state.back() == '*';  // does not answer the controller
    all += line.nodes;
    if (!silent && (is("idle") || is("mix") || is("alloc") || is("comp") || is("resv"))) up += line.nodes;
  }
  for (const auto& [partition, nodes] : usable) {
    const auto [up, all] = nodes;
    const std::string what = fmt::format("partition {}: {} of {} nodes in service", printable(partition), up, all);
    if (up == 0)
      found.warning(what, "see why: sinfo --list-reasons");
    else if (up < all)
      found.note(what, "see why: sinfo --list-reasons");
    else
      found.ok(what);
  }
  return found.list();
}

std::vector<Finding> judge_slurm_job(const Record& job) {
  Findings found("slurm");
  const std::string id = printable(value_of(job, "JobId"));
  const std::string what =
      fmt::format("this is job {}: TimeLimit {}, EndTime {}, Restarts {}", id, printable(value_of(job, "TimeLimit")),
                  printable(value_of(job, "EndTime")), printable(value_of(job, "Restarts")));
  if (value_of(job, "Requeue") == "0")
    found.warning(what + ", Requeue 0: it is not started again after preemption or node failure",
                  fmt::format("scontrol update JobId={} Requeue=1", id));
  else
    found.ok(what);
  return found.list();
}

}  // namespace nexus
