#include "slurm/submit.h"

#include <sys/file.h>

#include <algorithm>
#include <set>

#include "campaign/committed_state.h"
#include "campaign/next_action.h"
#include "core/error.h"
#include "core/file_descriptor.h"
#include "core/files.h"
#include "core/log.h"
#include "core/run_folder.h"
#include "slurm/take_back.h"
#include "system/clock.h"
#include "system/environment.h"
#include "system/shell_quote.h"

namespace nexus {
namespace {

// Two submissions at a time would not see each other's jobs. Held until the descriptor is closed.
FileDescriptor lock_submission(const std::string& home) {
  const std::string path = RunFolder{home}.slurm_folder() + "/.submit.lock";
  FileDescriptor lock(path, O_RDWR | O_CREAT);
  if (!lock.is_open()) throw_errno("open", path);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  throw Error(ErrorKind::kConfig, "somebody else is submitting this run", path, "wait until they are done");
}

std::vector<QueuedJob> live_jobs(const std::vector<QueuedJob>& queue, const std::string& run) {
  std::vector<QueuedJob> jobs = jobs_of_run(queue, run, read_job_book(run));
  std::erase_if(jobs, [](const QueuedJob& job) { return !job.live(); });
  return jobs;
}

void require_nothing_queued(const RenderedJobs& rendered, const std::vector<QueuedJob>& queue) {
  std::set<std::string> folders(rendered.runs.begin(), rendered.runs.end());
  folders.insert(rendered.home);
  for (const std::string& run : folders) {
    std::vector<QueuedJob> jobs = live_jobs(queue, run);
    // Of what is in the book of a home it is known which runs it works on.
    if (rendered.adds && run == rendered.home)
      std::erase_if(jobs, [book = read_job_book(run)](const QueuedJob& job) {
        return std::ranges::any_of(book.jobs, [&](const BookedJob& booked) { return is_of_job(job.id, booked.id); });
      });
    if (!jobs.empty())
      throw Error(ErrorKind::kConfig, "jobs of this run wait or run already: " + describe(jobs), run,
                  "follow them with `nexus slurm status`, or end them with `nexus slurm cancel`");
  }
}

// sbatch lets the environment overrule scripts.
void warn_of_overruling_environment() {
  for (const std::string& name : environment_names())
    if (name.starts_with("SBATCH_"))
      warn("slurm: {}={} in your environment overrules the script", name, environment(name));
}

std::vector<std::string> sbatch_command(const RenderedJobs& rendered, const RenderedJob& job,
                                        const std::string& after) {
  std::vector<std::string> command = {"sbatch", "--parsable", "--comment=" + job.comment};
  std::vector<std::string> ids = job.after;
  if (!after.empty()) ids.insert(ids.begin(), after);
  // A task that fails stops none but those that start from it, which find that out themselves.
  const char* when = rendered.array ? "afterany" : "afterok";
  if (!ids.empty()) command.push_back(fmt::format("--dependency={}:{}", when, fmt::join(ids, ":")));
  command.push_back(rendered.home + "/" + job.script);
  return command;
}

// "123" or "123;cluster".
std::string submitted_id(const std::string& output) {
  const std::string line = output.substr(0, output.find('\n'));
  const std::string id = line.substr(0, line.find(';'));
  if (id.empty() || id.find_first_not_of("0123456789") != std::string::npos)
    throw Error(ErrorKind::kIo, fmt::format("sbatch answered '{}', which is no job id", line), "sbatch --parsable",
                "look for the job with squeue --me");
  return id;
}

// In the home's book last: what stands there stands in all.
void record(const RenderedJobs& rendered, const RenderedJob& job, const BookedJob& booked) {
  const auto add = [&](const std::string& run, const BookedJob& entry) {
    JobBook book = read_job_book(run);
    book.run = run;
    book.token = token_of(rendered.home);
    book.cluster = rendered.cluster;
    if (!rendered.adds) book.tasks.clear();
    if (run == rendered.home && rendered.array)
      for (const std::string& task : rendered.runs)
        if (std::ranges::find(book.tasks, task) == book.tasks.end()) book.tasks.push_back(task);
    book.jobs.push_back(entry);
    write_job_book(run, book);
  };
  for (size_t i = 0; rendered.array && i < job.runs.size(); ++i) {
    if (job.runs[i] == rendered.home) continue;
    BookedJob task = booked;
    task.id += fmt::format("_{}", i);
    task.after.clear();  // no job of this run
    task.script = rendered.home + "/" + job.script;
    add(job.runs[i], task);
  }
  add(rendered.home, booked);
}

// `error` ended the chain at `script`: sbatch's, or else of recording the job.
[[noreturn]] void refuse_chain(const Error& error, bool of_sbatch, TakeBack& take_back, const std::string& run,
                               const std::string& script) {
  warn("slurm: {}: {}; cancelling what this call has submitted", error.where(), error.fact());
  const TakenBack taken = take_back.cancel();
  std::string todo = taken.todo.empty() ? "" : taken.todo + "; ";
  todo += "mend what it says, then submit again";
  if (of_sbatch)
    todo += fmt::format(
        "; where a user may have few jobs only, set slurm.chain: campaign; if sbatch had no answer, Slurm may "
        "take the job in later still: `nexus slurm status {}` shows it",
        shell_quote(run));
  throw Error(error.kind(), error.fact() + "; " + taken.outcome, of_sbatch ? script : error.where(), todo);
}

}  // namespace

size_t finished_stages(const CampaignSpec& spec) {
  const NextAction next = next_action(spec, committed_state(RunFolder{spec.out}));
  return next.kind == NextAction::Kind::kDone ? spec.stages.size() : next.stage;
}

std::vector<RenderedJob> open_jobs(const RenderInput& input, const RenderedJobs& rendered) {
  std::vector<RenderedJob> jobs = rendered.jobs;
  if (input.array) return jobs;
  const CampaignSpec& spec = input.tasks[0].spec;
  const size_t finished = finished_stages(spec);
  if (finished == spec.stages.size()) return {};
  if (spec.slurm.chain == SlurmSpec::Chain::kStages)
    jobs.erase(jobs.begin(), jobs.begin() + static_cast<std::ptrdiff_t>(finished));
  return jobs;
}

std::vector<BookedJob> submit_jobs(const RenderedJobs& rendered, const std::vector<RenderedJob>& jobs,
                                   double look_again_seconds) {
  make_folders(RunFolder{rendered.home}.slurm_folder());
  const FileDescriptor lock = lock_submission(rendered.home);
  warn_of_overruling_environment();
  const std::vector<QueuedJob> queue = read_queue();
  require_nothing_queued(rendered, queue);
  write_rendered(rendered);
  TakeBack take_back(rendered.home, queue, look_again_seconds);
  std::vector<BookedJob> submitted;
  for (const RenderedJob& job : jobs) {
    const std::string after = submitted.empty() ? "" : submitted.back().id;
    BookedJob booked{"", job.stage, after, job.script, unix_seconds()};
    try {
      booked.id = submitted_id(run_slurm(sbatch_command(rendered, job, after)).output);
      take_back.add(booked.id);
      record(rendered, job, booked);
    } catch (const Error& error) {
      refuse_chain(error, booked.id.empty(), take_back, rendered.home, rendered.home + "/" + job.script);
    } catch (const std::exception& error) {  // of a library: the jobs are as little wanted
      refuse_chain(Error(ErrorKind::kInternal, error.what()), false, take_back, rendered.home, "");
    }
    submitted.push_back(booked);
  }
  return submitted;
}

std::string describe_submission(const RenderedJobs& rendered, const std::vector<RenderedJob>& jobs) {
  std::string text, after;
  for (const RenderedJob& job : jobs) {
    for (const RenderedFile& file : rendered.files)
      if (file.path == rendered.home + "/" + job.script) text += fmt::format("==> {}\n{}\n", file.path, file.text);
  }
  for (const RenderedJob& job : jobs) {
    text += shell_command(sbatch_command(rendered, job, after)) + "\n";
    after = fmt::format("<id of {}>", job.script);
  }
  return text;
}

void cancel_ids(const std::vector<std::string>& ids) {
  if (ids.empty()) return;
  std::vector<std::string> command = {"scancel"};
  command.insert(command.end(), ids.begin(), ids.end());
  try {
    run_slurm(command);
  } catch (const Error& error) {
    const std::vector<QueuedJob> queue = read_queue();
    const bool left = std::any_of(queue.begin(), queue.end(), [&](const QueuedJob& job) {
      // A cancelled job ends in its own time.
      return job.live() && job.state != "COMPLETING" &&
             std::any_of(ids.begin(), ids.end(), [&](const std::string& id) { return is_of_job(job.id, id); });
    });
    if (left) throw;
  }
}

std::vector<QueuedJob> cancel_jobs(const std::string& run) {
  const std::vector<QueuedJob> jobs = live_jobs(read_queue(), run);
  std::vector<std::string> ids;
  for (const QueuedJob& job : jobs) ids.push_back(job.id);
  cancel_ids(ids);
  return jobs;
}

}  // namespace nexus
