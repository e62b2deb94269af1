#include "slurm/settle.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <functional>

#include "core/error.h"
#include "core/files.h"
#include "core/log.h"
#include "core/run_folder.h"
#include "slurm/queue.h"
#include "slurm/spare_nodes.h"
#include "slurm/submit.h"
#include "system/clock.h"
#include "system/launch_environment.h"

namespace nexus {
namespace {

constexpr double kFirstPause = 0.2;

void hold_off_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGUSR2, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

// Again and again while Slurm does not answer, as long as the options allow. False: it never did. Soon at first: the
// notice of a requeue ends a command of Slurm's that runs just then, and little time is left.
bool insist(const SettleOptions& options, const std::function<void()>& attempt) {
  const double end = steady_seconds() + options.patience_seconds;
  for (double pause = std::min(kFirstPause, options.retry_seconds);;
       pause = std::min(2 * pause, options.retry_seconds)) {
    try {
      attempt();
      return true;
    } catch (const std::exception& error) {
      warn("settle: {}", error.what());
      const auto* ours = dynamic_cast<const Error*>(&error);
      if ((ours != nullptr && ours->kind() == ErrorKind::kConfig) || steady_seconds() >= end) return false;
    }
    sleep_seconds(pause);
  }
}

// What cannot be learned is said, and left out: settle goes by the rest, since no end at all would end the chain.
bool learn(const std::string& what, const std::function<void()>& read) {
  try {
    read();
    return true;
  } catch (const std::exception& error) {
    warn("settle: {} cannot be read: {}", what, error.what());
    return false;
  }
}

class Settler {
 public:
  Settler(const SettleOptions& options, const LaunchEnvironment& launch) : options_(options), launch_(launch) {}

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
    facts.job = job_;
    facts.max_requeues = options_.max_requeues;
    read_run(facts);
    if (decide_settle(facts).action == SettleAction::kFinish) return facts;  // nothing to ask Slurm about
    learn("the job's list of nodes", [&] { facts.nodes = nodes_of_list(launch_.node_list); });
    insist(options_, [&] { find_in_queue(facts); });
    if (facts.blind) {
      facts.blind_starts = blind_starts_before(comment_, job_.restart);
      learn("the job's number of restarts", [&] { facts.replaced = facts.replaced || newer_start_in_queue(); });
    }
    SettleFacts hopeful = facts;
    hopeful.spare_nodes = 1;
    if (!decide_settle(hopeful).exclude.empty())
      learn("the partition", [&] { facts.spare_nodes = spare_nodes(facts.nodes); });
    return facts;
  }

  // What the ranks left. The folder was there when the job was submitted: where it is not, it is not seen from here.
  void read_run(SettleFacts& facts) {
    const RunFolder run{options_.run};
    learn("STATUS", [&] { facts.status = read_status(run).value_or(StatusRecord{}); });
    facts.blind = !learn("the run's leases", [&] {
      if (!path_exists(run.root)) throw Error(ErrorKind::kIo, "there is no such folder", run.root);
      std::vector<LeaseRecord> all = read_leases(run);
      const bool newest_read = all.empty() || all.back().readable();
      std::erase_if(all, [](const LeaseRecord& lease) { return !lease.readable(); });
      facts.replaced = is_replaced(all, job_);
      if (!newest_read) throw Error(ErrorKind::kIo, "whose the newest is, is not known", run.lease_folder());
      facts.vain_starts = vain_starts(all, job_);
      if (!all.empty() && all.back().job.is_same_start(job_)) facts.lease_end = all.back().end;
    });
  }

  void find_in_queue(SettleFacts& facts) {
    for (const QueuedJob& job : read_queue()) {
      if (job.id != target_) continue;
      facts.state = job.state;
      facts.reason = job.reason;
      excluded_ = job.excluded_nodes;
      comment_ = job.comment;
    }
  }

  // Unknown in a reservation, which has nodes of its own.
  std::optional<int64_t> spare_nodes(const std::vector<std::string>& nodes) const {
    if (nodes.empty() || launch_.partition.empty() || !launch_.reservation.empty()) return std::nullopt;
    return count_spare_nodes(list_partition(launch_.partition), nodes, nodes_of_list(excluded_));
  }

  // Slurm's own count, for want of leases.
  bool newer_start_in_queue() const {
    const std::string text =
        run_slurm({"squeue", "--noheader", "--jobs=" + target_, "--Format=RestartCnt"}).first_line();
    const std::optional<int64_t> restarts = slurm_number(text.substr(0, text.find(' ')));  // padded
    return restarts && *restarts > job_.restart;
  }

  // Without the note the next blind start would not know of this one, and so on for ever.
  bool note_blind_start(int64_t blind_starts) {
    if (comment_.empty()) warn("settle: the job's comment is not known, so nobody would count its starts");
    return !comment_.empty() && insist(options_, [&] {
      run_slurm({"scontrol", "update", "JobId=" + target_,
                 "Comment=" + comment_after_blind(comment_, job_.restart, blind_starts)});
    });
  }

  // Whether Slurm has taken the job back.
  bool requeue(const SettleDecision& decision) {
    if (decision.blind_starts > 0 && !note_blind_start(decision.blind_starts)) return false;
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
    JobBook book;
    if (!learn("the record of later jobs", [&] { book = read_job_book(options_.run); }))
      return log("settle job {} | Slurm itself cancels jobs that wait for one that has failed", target_);
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
  const LaunchEnvironment launch_;
  const SlurmJob& job_ = launch_.job;
  const std::string& target_ = launch_.target;
  std::string excluded_, comment_;
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
  const LaunchEnvironment launch = launch_environment();
  if (!launch.job)
    throw Error(ErrorKind::kConfig, "SLURM_JOB_ID is not set", "environment",
                "let job scripts call `nexus slurm settle`; people need not");
  hold_off_signals();
  return Settler(options, launch).run();
}

}  // namespace nexus
