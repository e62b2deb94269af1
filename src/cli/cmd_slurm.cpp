// nexus slurm: a campaign as a chain of jobs that goes on by itself. Needs neither MPI nor data.
#include <cstdio>

#include "cli/commands.h"
#include "cli/option_checks.h"
#include "config/cluster.h"
#include "config/config.h"
#include "config/study.h"
#include "core/error.h"
#include "core/files.h"
#include "core/json_text.h"
#include "core/log.h"
#include "core/run_folder.h"
#include "monitor/view_runs.h"
#include "slurm/job_book.h"
#include "slurm/job_end.h"
#include "slurm/render.h"
#include "slurm/simulate_preempt.h"
#include "slurm/status.h"
#include "slurm/submit.h"
#include "study/study_jobs.h"
#include "study/study_runner.h"

namespace nexus {
namespace {

struct RenderArguments {
  std::string file;
  std::vector<std::string> more_files, assignments, baselines;
  std::string out, cluster;
  std::vector<uint64_t> seeds;
  int64_t throttle = 0;
  bool dry_run = false;
};

RenderTask load_task(const RenderArguments& arguments, const std::string& file, const std::optional<uint64_t>& seed,
                     std::optional<std::string> out) {
  std::vector<std::string> assignments = arguments.assignments;
  if (seed) {
    // The run folder without the seed comes from the campaign itself, or from --out as a value of its key.
    out = absolute_path(load_campaign(file, arguments.more_files, assignments, out).spec.out) +
          fmt::format("-seed{}", *seed);
    assignments.push_back(fmt::format("seed={}", *seed));
  }
  const LoadedCampaign loaded = load_campaign(file, arguments.more_files, assignments, out);
  for (const std::string& text : loaded.warnings) warn("{}", text);
  return {loaded.spec, loaded.resolved_yaml};
}

RenderInput render_input(const RenderArguments& arguments) {
  RenderInput input;
  if (!arguments.cluster.empty()) input.cluster = load_cluster(arguments.cluster);
  input.array = !arguments.seeds.empty() || !arguments.baselines.empty();
  input.throttle = arguments.throttle;
  if (arguments.throttle > 0 && !input.array)
    throw Error(ErrorKind::kConfig, "a throttle needs a job array", "--throttle", "use it with --seeds or --baseline");
  const std::optional<std::string> out = arguments.out.empty() ? std::nullopt : std::optional(arguments.out);
  std::vector<std::string> files = {arguments.file};
  files.insert(files.end(), arguments.baselines.begin(), arguments.baselines.end());
  for (const std::string& file : files) {
    // --out is the first campaign's; a baseline has its own run folder.
    const std::optional<std::string> folder = file == arguments.file ? out : std::nullopt;
    if (arguments.seeds.empty()) input.tasks.push_back(load_task(arguments, file, std::nullopt, folder));
    for (const uint64_t seed : arguments.seeds) input.tasks.push_back(load_task(arguments, file, seed, folder));
  }
  if (input.array)
    input.home = load_campaign(arguments.file, arguments.more_files, arguments.assignments, out).spec.out;
  return input;
}

// A study says itself what is trained, under which seeds and where.
void require_study_arguments(const RenderArguments& arguments) {
  if (arguments.more_files.empty() && arguments.assignments.empty() && arguments.baselines.empty() &&
      arguments.out.empty() && arguments.seeds.empty())
    return;
  throw Error(ErrorKind::kConfig, "a study takes neither -c, -s, --out, --seeds nor --baseline", arguments.file,
              "write it into the study");
}

// The jobs that are wanted now, among those of `queue`.
RenderInput study_input(const RenderArguments& arguments, const StudySpec& study, const std::vector<QueuedJob>& queue) {
  const ClusterSpec cluster = arguments.cluster.empty() ? ClusterSpec{} : load_cluster(arguments.cluster);
  return render_input(study, cluster, arguments.throttle > 0 ? arguments.throttle : study.at_once, queue);
}

int submit_study(const RenderArguments& arguments) {
  require_study_arguments(arguments);
  const StudySpec study = load_study(arguments.file);
  FileDescriptor lock;
  if (!arguments.dry_run) lock = lock_study(study.out);
  const RenderInput input = study_input(arguments, study, queue_of(study));
  if (input.tasks.empty()) {
    log("nothing to submit: every run of {} is done or in the queue | {}", study.name, study.out);
    return 0;
  }
  const RenderedJobs rendered = render_jobs(input);
  if (arguments.dry_run) {
    std::fputs(describe_submission(rendered, rendered.jobs).c_str(), stdout);
    return 0;
  }
  const std::vector<BookedJob> jobs = submit_jobs(rendered, rendered.jobs);
  for (size_t i = 0; i < jobs.size(); ++i)
    log("submitted job {} | {} | {} runs{}", jobs[i].id, jobs[i].script, rendered.jobs[i].runs.size(),
        jobs[i].after.empty() ? "" : " | after " + jobs[i].after);
  log("follow them with: nexus study status {}", arguments.file);
  return 0;
}

int write_scripts(const RenderInput& input) {
  if (input.tasks.empty()) {
    log("nothing to render: every run is done or in the queue");
    return 0;
  }
  const RenderedJobs rendered = render_jobs(input);
  const int written = write_rendered(rendered);
  for (const RenderedJob& job : rendered.jobs) fmt::print("{}/{}\n", rendered.home, job.script);
  log("rendered {} jobs of {} runs for cluster {} | files written {}", rendered.jobs.size(), rendered.runs.size(),
      rendered.cluster.empty() ? "default" : rendered.cluster, written);
  return 0;
}

int render(const RenderArguments& arguments) {
  if (!is_study(arguments.file)) return write_scripts(render_input(arguments));
  require_study_arguments(arguments);
  const StudySpec study = load_study(arguments.file);
  const FileDescriptor lock = lock_study(study.out);
  // What is in the queue reads its campaign at every start: it is left as it is.
  return write_scripts(study_input(arguments, study, queue_of(study)));
}

int submit(const RenderArguments& arguments) {
  if (is_study(arguments.file)) return submit_study(arguments);
  const RenderInput input = render_input(arguments);
  const RenderedJobs rendered = render_jobs(input);
  const std::vector<RenderedJob> jobs = open_jobs(input, rendered);
  if (jobs.empty()) {
    log("nothing to submit: every stage of {} is done | {}", input.tasks[0].spec.name, rendered.home);
    return 0;
  }
  if (arguments.dry_run) {
    std::fputs(describe_submission(rendered, jobs).c_str(), stdout);
    return 0;
  }
  for (const BookedJob& job : submit_jobs(rendered, jobs))
    log("submitted job {} | {}{}", job.id, job.script, job.after.empty() ? "" : " | after " + job.after);
  log("follow them with: nexus slurm status {}", rendered.home);
  return 0;
}

int cancel(const std::string& run) {
  const std::vector<QueuedJob> jobs = cancel_jobs(run);
  log("{}", jobs.empty() ? "no job of this run waits or runs" : "cancelled " + describe(jobs));
  return 0;
}

int status(const std::string& run, bool json) {
  std::vector<QueuedJob> queue;
  try {
    queue = read_queue();
  } catch (const Error& error) {
    warn("slurm: {}", error.what());  // the run folder has something to say all the same
  }
  std::vector<std::string> runs = read_job_book(run).tasks;
  if (runs.empty()) runs = {run};
  const std::vector<bool> gone = runs_without_process(runs, queue);
  nlohmann::ordered_json documents = nlohmann::ordered_json::array();
  for (size_t i = 0; i < runs.size(); ++i) {
    const RunView view = view_run(campaign_of_run(runs[i]), absolute_path(runs[i]), queue, gone[i]);
    if (json)
      documents.push_back(run_json(view));
    else
      fmt::print("{}{}", i == 0 ? "" : "\n", run_text(view));
  }
  if (json) fmt::print("{}\n", json_text(runs.size() == 1 ? documents[0] : documents, 2));
  return 0;
}

int preempt(const PreemptOptions& options) {
  const PreemptResult result = simulate_preempt(campaign_of_run(options.run), options,
                                                [](const std::string& text) { log("simulate-preempt {}", text); });
  log("simulate-preempt job {} | generation {} to {} | steps lost {} | seconds to the first new step {:.1f} | lineage "
      "{}",
      result.job, result.old_generation, result.new_generation, result.steps_lost, result.seconds_to_new_step,
      result.lineage_fault.empty() ? "linear" : result.lineage_fault);
  if (result.held()) return 0;
  throw Error(ErrorKind::kIo,
              result.committed ? "the lineage is not linear" : "the job has not committed again within the time",
              options.run, "look at its log in logs/ and at `nexus slurm status`");
}

void add_render_options(CLI::App& command, RenderArguments& arguments) {
  command.add_option("FILE", arguments.file, "campaign file, or study file")->required()->transform(path_to_read());
  command.add_option("-c,--config", arguments.more_files, "more configuration, merged over the campaign file")
      ->allow_extra_args(false)
      ->transform(path_to_read());
  command.add_option("-s,--set", arguments.assignments, "key=value, over everything else")->allow_extra_args(false);
  command.add_option("--out", arguments.out, "run folder");
  command
      .add_option("--cluster", arguments.cluster,
                  "cluster file, e.g. configs/clusters/NAME.yaml (default: whatever the cluster itself defaults to)")
      ->transform(path_of_shell());
  command.add_option("--seeds", arguments.seeds, "1,2,3: a job array, one run per seed in OUT-seed1, OUT-seed2, ...")
      ->delimiter(',')
      ->check(whole_number(0));
  command.add_option("--baseline", arguments.baselines, "another campaign for the array; may be given again")
      ->transform(path_to_read())
      ->allow_extra_args(false);
  command
      .add_option("--throttle", arguments.throttle,
                  "most tasks of an array that run at a time (default: no limit; of a study its at_once)")
      ->check(whole_number(1));
}

void add_job_end(CLI::App& group, Action& action) {
  const auto options = std::make_shared<JobEndOptions>();
  CLI::App* command = group.add_subcommand("job-end", "what job scripts do at their end: queue the job again, or not");
  command->add_option("RUN", options->run, "run folder")->required()->transform(path_to_read());
  command->add_option("--code", options->code, "exit code of the launcher")->required()->check(whole_number(0, 255));
  command->add_option("--max-requeues", options->max_requeues, "most restarts of this job")->check(whole_number(0));
  command->callback([options, &action] { action = [options] { return end_job(*options); }; });
}

void add_status(CLI::App& group, Action& action) {
  struct Arguments {
    std::string run;
    bool json = false;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = group.add_subcommand("status", "stages, jobs, time left and what has been spent");
  command->add_option("RUN", arguments->run, "run folder")->required()->transform(path_to_read());
  command->add_flag("--json", arguments->json, "machine-readable, on stdout");
  command->callback([arguments, &action] { action = [arguments] { return status(arguments->run, arguments->json); }; });
}

void add_preempt(CLI::App& group, Action& action) {
  const auto options = std::make_shared<PreemptOptions>();
  CLI::App* command =
      group.add_subcommand("simulate-preempt", "preempt the running job, and measure how it comes back");
  command->add_option("RUN", options->run, "run folder")->required()->transform(path_to_read());
  command->add_option("--grace", options->grace_seconds, "seconds between notice and requeue (default: 30)")
      ->check(number_from(0, 1e9));
  command->add_option("--timeout", options->patience_seconds, "seconds to wait for a new commit (default: 1800)")
      ->check(number_from(0, 1e9));
  command->callback([options, &action] { action = [options] { return preempt(*options); }; });
}

// A command that needs nothing but a run folder.
void add_run_command(CLI::App& group, const std::string& name, const std::string& help,
                     const std::function<int(const std::string&)>& what, Action& action) {
  const auto run = std::make_shared<std::string>();
  CLI::App* command = group.add_subcommand(name, help);
  command->add_option("RUN", *run, "run folder")->required()->transform(path_to_read());
  command->callback([run, what, &action] { action = [run, what] { return what(*run); }; });
}

}  // namespace

void add_slurm_command(CLI::App& app, Action& action) {
  CLI::App* group = app.add_subcommand("slurm", "a campaign as jobs that survive time limits and preemption");
  group->require_subcommand(1);
  const auto to_render = std::make_shared<RenderArguments>(), to_submit = std::make_shared<RenderArguments>();
  CLI::App* render_command = group->add_subcommand("render", "write the job scripts into the run folder");
  add_render_options(*render_command, *to_render);
  render_command->callback([to_render, &action] { action = [to_render] { return render(*to_render); }; });
  CLI::App* submit_command = group->add_subcommand("submit", "render, then submit what is left to do as a chain");
  add_render_options(*submit_command, *to_submit);
  submit_command->add_flag("--dry-run", to_submit->dry_run, "print commands and scripts; change nothing");
  submit_command->callback([to_submit, &action] { action = [to_submit] { return submit(*to_submit); }; });
  add_run_command(*group, "cancel", "cancel the jobs of a run folder, and no others", cancel, action);
  add_status(*group, action);
  add_preempt(*group, action);
  add_job_end(*group, action);
}

}  // namespace nexus
