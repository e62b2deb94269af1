#include "slurm/job_end.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <functional>

#include "campaign/failed_starts.h"
#include "checkpoint/checkpoint.h"
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
bool retry(const JobEndOptions& options, const std::function<void()>& attempt) {
  const double end = steady_seconds() + options.patience_seconds;
  for (double pause = std::min(kFirstPause, options.retry_seconds);;
       pause = std::min(2 * pause, options.retry_seconds)) {
    try {
      attempt();
      return true;
    } catch (const std::exception& error) {
      warn("job-end: {}", error.what());
      const auto* ours = dynamic_cast<const Error*>(&error);
      if ((ours != nullptr && ours->kind() == ErrorKind::kConfig) || steady_seconds() >= end) return false;
    }
    sleep_seconds(pause);
  }
}

// What cannot be learned is said, and left out: the rest decides, since no end at all would end the chain.
bool learn(const std::string& what, const std::function<void()>& read) {
  try {
    read();
    return true;
  } catch (const std::exception& error) {
    warn("job-end: {} cannot be read: {}", what, error.what());
    return false;
  }
}

class JobEnd {
 public:
  JobEnd(const JobEndOptions& options, const LaunchEnvironment& launch) : options_(options), launch_(launch) {}

  int run() {
    const JobEndFacts facts = gather();
    JobEndDecision decision = decide_job_end(facts);
    static const char* const words[] = {"finished", "queued again", "given up", "left alone"};
    log("job-end {} restart {} | code {} | {}: {}", target_, job_.restart, decision.code,
        words[static_cast<int>(decision.action)], decision.why);
    if (decision.action == JobEndAction::kRequeue && !requeue(decision)) decision.action = JobEndAction::kGiveUp;
    if (decision.action == JobEndAction::kGiveUp) give_up(facts);
    return decision.code;
  }

 private:
  JobEndFacts gather() {
    JobEndFacts facts;
    facts.code = options_.code;
    facts.job = job_;
    facts.max_requeues = options_.max_requeues;
    read_run(facts);
    if (decide_job_end(facts).action == JobEndAction::kFinish) return facts;  // nothing to ask Slurm about
    learn("the job's list of nodes", [&] { facts.nodes = nodes_of_list(launch_.node_list); });
    retry(options_, [&] { find_in_queue(facts); });
    if (!facts.opened) {
      facts.failed_before = failed_starts_noted(comment_, job_.restart);
      learn("the job's number of restarts", [&] { facts.replaced = facts.replaced || newer_start_in_queue(); });
    }
    JobEndFacts hopeful = facts;
    hopeful.spare_nodes = 1;
    if (!decide_job_end(hopeful).exclude.empty())
      learn("the partition", [&] { facts.spare_nodes = spare_nodes(facts.nodes); });
    return facts;
  }

  // What the ranks left. The folder was there when the job was submitted: where it is not, it is not seen from here.
  void read_run(JobEndFacts& facts) {
    const RunFolder run{options_.run};
    learn("STATUS", [&] { facts.status = read_status(run).value_or(StatusRecord{}); });
    int64_t newest = 0;
    learn("the run's checkpoints", [&] { newest = newest_sequence(run); });
    const bool read = learn("the run's leases", [&] {
      if (!path_exists(run.root)) throw Error(ErrorKind::kIo, "there is no such folder", run.root);
      std::vector<LeaseRecord> all = read_leases(run);
      const bool newest_read = all.empty() || all.back().readable();
      std::erase_if(all, [](const LeaseRecord& lease) { return !lease.readable(); });
      facts.replaced = is_replaced(all, job_);
      if (!newest_read) throw Error(ErrorKind::kIo, "whose the newest is, is not known", run.lease_folder());
      facts.failed_before = failed_starts(all, job_, newest);
      facts.opened =
          std::any_of(all.begin(), all.end(), [&](const LeaseRecord& lease) { return lease.job.is_same_start(job_); });
      if (!all.empty() && all.back().job.is_same_start(job_)) facts.lease_end = all.back().end;
    });
    if (!read) facts.opened.reset();
  }

  void find_in_queue(JobEndFacts& facts) {
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

  // Without the note the next start that reads nothing would not know of this one, and so on for ever.
  bool note_failed_starts(int64_t failed) {
    if (comment_.empty()) warn("job-end: the job's comment is not known, so nobody would count its starts");
    return !comment_.empty() && retry(options_, [&] {
      run_slurm({"scontrol", "update", "JobId=" + target_,
                 "Comment=" + comment_with_failed_starts(comment_, job_.restart, failed)});
    });
  }

  // Whether Slurm has taken the job back.
  bool requeue(const JobEndDecision& decision) {
    if (decision.failed_starts > 0 && !note_failed_starts(decision.failed_starts)) return false;
    const bool done = retry(options_, [&] {
      try {
        run_slurm({"scontrol", "requeue", target_});
      } catch (const Error&) {
        JobEndFacts now;
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
    const bool done = retry(options_, [&] {
      run_slurm({"scontrol", "update", "JobId=" + target_, "ExcNodeList=" + list});
    });
    if (done) log("job-end {} | node {} is not used again", target_, node);
  }

  void give_up(const JobEndFacts& facts) {
    if (!facts.status.text.empty()) log("job-end {} | {}", target_, facts.status.text);
    JobBook book;
    if (!learn("the record of later jobs", [&] { book = read_job_book(options_.run); }))
      return log("job-end {} | Slurm itself cancels jobs that wait for one that has failed", target_);
    const std::vector<std::string> later = book.later_than(target_);
    if (later.empty()) return;
    retry(options_, [&] {
      std::vector<std::string> ids;
      for (const QueuedJob& job : jobs_of_run(read_queue(), options_.run, book))
        if (job.live() && std::find(later.begin(), later.end(), job.id) != later.end()) ids.push_back(job.id);
      cancel_ids(ids);
      if (!ids.empty()) log("job-end {} | cancelled the later jobs {}", target_, fmt::join(ids, ", "));
    });
  }

  const JobEndOptions& options_;
  const LaunchEnvironment launch_;
  const SlurmJob& job_ = launch_.job;
  const std::string& target_ = launch_.target;
  std::string excluded_, comment_;
};

}  // namespace

bool is_replaced(const std::vector<LeaseRecord>& leases, const SlurmJob& job) {
  bool opened = false;  // by this start
  for (const LeaseRecord& lease : leases) {
    if (lease.job.id == job.id && lease.job.restart > job.restart) return true;
    opened = opened || (lease.job.id == job.id && lease.job.restart == job.restart);
  }
  return opened && leases.back().job.id != job.id;
}

int end_job(const JobEndOptions& options) {
  const LaunchEnvironment launch = launch_environment();
  if (!launch.job)
    throw Error(ErrorKind::kConfig, "SLURM_JOB_ID is not set", "environment",
                "let job scripts call `nexus slurm job-end`; people need not");
  hold_off_signals();
  return JobEnd(options, launch).run();
}

}  // namespace nexus
