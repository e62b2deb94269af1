#include "slurm/settle.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <sstream>
#include <thread>

#include "core/error.h"
#include "core/files.h"
#include "core/log.h"
#include "core/run_folder.h"
#include "slurm/queue.h"
#include "slurm/submit.h"

namespace nexus {
namespace {

using Clock = std::chrono::steady_clock;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// A task of an array has an id of its own too, but the first task's is that of the whole array.
std::string target_of(const SlurmJob& job) {
  const std::string array = environment("SLURM_ARRAY_JOB_ID"), task = environment("SLURM_ARRAY_TASK_ID");
  return array.empty() || task.empty() ? job.id : array + "_" + task;
}

void hold_off_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGUSR2, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

// Again and again while Slurm does not answer, as long as the options allow. False: it never did.
bool insist(const SettleOptions& options, const std::function<void()>& attempt) {
  const auto end = Clock::now() + std::chrono::duration<double>(options.patience_seconds);
  for (;;) {
    try {
      attempt();
      return true;
    } catch (const Error& error) {
      warn("settle: {}", error.what());
      if (error.kind() == ErrorKind::kConfig || Clock::now() >= end) return false;
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(options.retry_seconds));
  }
}

std::vector<std::string> nodes_of_job() {
  const std::string list = environment("SLURM_JOB_NODELIST");
  if (list.empty()) return {};
  std::vector<std::string> nodes;
  try {
    std::istringstream lines(run_slurm({"scontrol", "show", "hostnames", list}).output);
    for (std::string line; std::getline(lines, line);) nodes.push_back(line);
  } catch (const Error& error) {
    warn("settle: {}", error.what());
  }
  return nodes;
}

class Settler {
 public:
  Settler(const SettleOptions& options, const SlurmJob& job) : options_(options), job_(job), target_(target_of(job)) {}

  int run() {
    const SettleFacts facts = gather();
    SettleDecision decision = decide_settle(facts);
    static const char* const words[] = {"finished", "queued again", "given up", "left alone"};
    log("settle job {} restart {} | code {} | {}: {}", target_, job_.restart, decision.code,
        words[static_cast<int>(decision.action)], decision.why);
    if (decision.action == SettleAction::kRequeue && !requeue(decision)) decision.action = SettleAction::kGiveUp;
    if (decision.action == SettleAction::kGiveUp) give_up(facts);
    return decision.code;
  }

 private:
  SettleFacts gather() {
    SettleFacts facts;
    facts.code = options_.code;
    facts.job = job_.id;
    facts.restart = job_.restart;
    facts.max_requeues = options_.max_requeues;
    const RunFolder run{options_.run};
    if (path_exists(run.status())) facts.status = parse_status(read_text_file(run.status()));
    const std::vector<LeaseRecord> leases = read_leases(run);
    facts.vain_starts = vain_starts(leases, job_);
    facts.replaced = is_replaced(leases, job_);
    if (decide_settle(facts).action == SettleAction::kFinish) return facts;  // nothing to ask Slurm about
    facts.nodes = nodes_of_job();
    insist(options_, [&] { find_in_queue(facts); });
    return facts;
  }

  void find_in_queue(SettleFacts& facts) {
    for (const QueuedJob& job : read_queue()) {
      if (job.id != target_) continue;
      facts.state = job.state;
      facts.reason = job.reason;
      excluded_ = job.excluded_nodes;
    }
  }

  // Whether Slurm has taken the job back.
  bool requeue(const SettleDecision& decision) {
    const bool done = insist(options_, [&] {
      try {
        run_slurm({"scontrol", "requeue", target_});
      } catch (const Error&) {
        SettleFacts now;
        find_in_queue(now);
        if (now.state.empty() || now.state == "RUNNING") throw;  // otherwise it is queued, or on its way
      }
    });
    if (done && !decision.exclude.empty()) exclude(decision.exclude);
    return done;
  }

  // Only of a job that waits can the excluded nodes be changed: after the requeue, then.
  void exclude(const std::string& node) {
    const std::string list = excluded_.empty() || excluded_ == "(null)" ? node : excluded_ + "," + node;
    const bool done = insist(options_, [&] {
      run_slurm({"scontrol", "update", "JobId=" + target_, "ExcNodeList=" + list});
    });
    if (done) log("settle job {} | node {} is not used again", target_, node);
  }

  void give_up(const SettleFacts& facts) {
    if (!facts.status.text.empty()) log("settle job {} | {}", target_, facts.status.text);
    const JobBook book = read_job_book(options_.run);
    const std::vector<std::string> later = book.later_than(target_);
    if (later.empty()) return;
    insist(options_, [&] {
      std::vector<std::string> ids;
      for (const QueuedJob& job : jobs_of_run(read_queue(), options_.run, book))
        if (job.live() && std::find(later.begin(), later.end(), job.id) != later.end()) ids.push_back(job.id);
      cancel_ids(ids);
      if (!ids.empty()) log("settle job {} | cancelled the later jobs {}", target_, fmt::join(ids, ", "));
    });
  }

  const SettleOptions& options_;
  const SlurmJob job_;
  const std::string target_;  // what scontrol and scancel call it
  std::string excluded_;
};

}  // namespace

int64_t vain_starts(const std::vector<LeaseRecord>& leases, const SlurmJob& job) {
  int64_t last = -1;
  for (const LeaseRecord& lease : leases)
    if (lease.job.id == job.id && lease.job.restart <= job.restart) last = std::max(last, lease.job.restart);
  return job.restart - last;
}

bool is_replaced(const std::vector<LeaseRecord>& leases, const SlurmJob& job) {
  bool opened = false;  // by this start
  for (const LeaseRecord& lease : leases) {
    if (lease.job.id == job.id && lease.job.restart > job.restart) return true;
    opened = opened || (lease.job.id == job.id && lease.job.restart == job.restart);
  }
  return opened && leases.back().job.id != job.id;
}

int settle(const SettleOptions& options) {
  const SlurmJob job = slurm_job();
  if (!job)
    throw Error(ErrorKind::kConfig, "SLURM_JOB_ID is not set", "environment",
                "let job scripts call `nexus slurm settle`; people need not");
  hold_off_signals();
  return Settler(options, job).run();
}

}  // namespace nexus
