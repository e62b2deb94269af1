#include "slurm/simulate_preempt.h"

#include <algorithm>
#include <optional>

#include "campaign/run_lease.h"
#include "core/error.h"
#include "core/run_folder.h"
#include "records/ledger_record.h"
#include "records/step_record.h"
#include "slurm/queue.h"
#include "system/clock.h"

namespace nexus {
namespace {

class Rehearsal {
 public:
  Rehearsal(const CampaignSpec& spec, const PreemptOptions& options, const std::function<void(const std::string&)>& say)
      : spec_(spec), options_(options), say_(say), run_{options.run} {}

  PreemptResult perform() {
    choose_job();
    remember();
    preempt();
    wait_for_commit();
    measure();
    return result_;
  }

 private:
  std::optional<QueuedJob> our_job(const std::string& id) const {
    for (const QueuedJob& job : jobs_of_run(read_queue(), run_.root, read_job_book(run_.root)))
      if (id.empty() ? job.state == "RUNNING" : job.id == id) return job;
    return std::nullopt;
  }

  void choose_job() {
    const auto job = our_job("");
    if (!job)
      throw Error(ErrorKind::kConfig, "no job of this run is running", run_.root,
                  "wait until `nexus slurm status` shows one RUNNING");
    result_.job = job->id;
  }

  double seconds_since_start() const { return steady_seconds() - start_; }

  int64_t newest_generation() const {
    const std::vector<LeaseRecord> leases = read_leases(run_);
    return leases.empty() ? 0 : leases.back().generation;
  }

  void remember() {
    result_.old_generation = newest_generation();
    metrics_offset_ = size_of_file(run_.metrics());
    ledger_offset_ = size_of_file(run_.ledger());
    const auto metrics = records_from(run_.metrics(), std::max<int64_t>(0, metrics_offset_ - (1 << 16)));
    const bool working = std::any_of(metrics.begin(), metrics.end(), [&](const JsonRecord& record) {
      return record.kind() == StepRecord::kKind &&
             record.generation().value_or(result_.old_generation) == result_.old_generation;
    });
    if (!working)
      throw Error(ErrorKind::kConfig, "the job has made no step yet: nothing could be lost", run_.root,
                  "wait until `nexus slurm status` shows steps");
  }

  // A preemption: TERM to the job's steps at once, some grace, then the requeue. Ranks that save and stop in time make
  // the job queue itself again (slurm job-end); under mpirun they hear of it only at the end.
  void preempt() {
    say_(fmt::format("job {} generation {} | TERM to its steps, {:.0f} s of grace", result_.job, result_.old_generation,
                     options_.grace_seconds));
    notice_ = unix_seconds();
    start_ = steady_seconds();
    try {
      run_slurm({"scancel", "--signal=TERM", result_.job});
    } catch (const Error& error) {
      say_(std::string("no step took the signal: ") + error.what());
    }
    auto job = our_job(result_.job);
    while (job && job->state == "RUNNING" && seconds_since_start() < options_.grace_seconds) {
      sleep_seconds(std::min(1.0, options_.poll_seconds));
      job = our_job(result_.job);
    }
    if (!job || job->state != "RUNNING" || newest_generation() > result_.old_generation) {
      say_(fmt::format("job {} has stopped by itself after {:.0f} s", result_.job, seconds_since_start()));
      return;
    }
    say_(fmt::format("the grace is over: scontrol requeue {}", result_.job));
    run_slurm({"scontrol", "requeue", result_.job});
  }

  // The first commit beyond where a newer generation has begun.
  bool committed_again() const {
    std::optional<Position> resumed;
    if (size_of_file(run_.ledger()) < ledger_offset_) resumed = Position{0, 0};  // begun anew: there was no checkpoint
    for (const JsonRecord& record : records_from(run_.ledger(), ledger_offset_)) {
      if (record.generation().value_or(result_.old_generation + 1) <= result_.old_generation) continue;
      if (record.kind() == kResumeKind) resumed = record.position();
      if (record.kind() == CommitRecord::kKind && resumed && record.position() > *resumed) return true;
    }
    return false;
  }

  void wait_for_commit() {
    double said = -options_.progress_seconds;
    while (seconds_since_start() < options_.patience_seconds) {
      result_.new_generation = newest_generation();
      if (result_.new_generation > result_.old_generation && committed_again()) {
        result_.committed = true;
        return;
      }
      if (seconds_since_start() - said >= options_.progress_seconds) {
        said = seconds_since_start();
        const auto job = our_job(result_.job);
        say_(fmt::format("{:.0f} s | job {} {} | generation {}", said, result_.job,
                         job ? job->state + " " + job->reason : "not in the queue", result_.new_generation));
      }
      sleep_seconds(options_.poll_seconds);
    }
  }

  // Steps from the campaign's beginning.
  int64_t steps_until(const Position& at) const {
    int64_t steps = at.second;
    for (int64_t i = 0; i < at.first && i < static_cast<int64_t>(spec_.stages.size()); ++i)
      steps += spec_.steps_of_stage(static_cast<size_t>(i));
    return steps;
  }

  void measure() {
    const bool anew = size_of_file(run_.metrics()) < metrics_offset_;
    const int64_t from = anew ? 0 : std::max<int64_t>(0, metrics_offset_ - (1 << 16));
    Position head{0, 0}, furthest{0, 0};
    for (const JsonRecord& record : records_from(run_.metrics(), from)) {
      const bool is_step = record.kind() == StepRecord::kKind;
      if (!is_step && record.kind() != kResumeKind) continue;
      const bool newer = record.generation().value_or(result_.old_generation) > result_.old_generation;
      const Position at = record.position();
      if (!is_step && newer) result_.steps_lost += std::max<int64_t>(0, steps_until(head) - steps_until(at));
      head = at;
      if (!is_step) continue;
      if (newer && head > furthest && result_.seconds_to_new_step < 0)
        result_.seconds_to_new_step = record.time() - notice_;
      furthest = std::max(furthest, head);
    }
    result_.lineage_fault = lineage_fault(records_from(run_.ledger(), 0));
  }

  const CampaignSpec& spec_;
  const PreemptOptions& options_;
  const std::function<void(const std::string&)>& say_;
  const RunFolder run_;
  PreemptResult result_;
  int64_t metrics_offset_ = 0, ledger_offset_ = 0;
  double notice_ = 0, start_ = 0;  // by the wall clock, by the steady one
};

}  // namespace

PreemptResult simulate_preempt(const CampaignSpec& spec, const PreemptOptions& options,
                               const std::function<void(const std::string&)>& say) {
  return Rehearsal(spec, options, say).perform();
}

}  // namespace nexus
