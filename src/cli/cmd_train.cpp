// nexus train: all stages of a campaign, from wherever its run folder stands.
#include <cstdio>

#include "campaign/campaign.h"
#include "campaign/launch_inputs.h"
#include "campaign/run_lease.h"
#include "cli/build_facts.h"
#include "cli/commands.h"
#include "cli/launch.h"
#include "cli/option_checks.h"
#include "cli/task_files.h"
#include "config/config.h"
#include "config/values.h"
#include "core/files.h"
#include "core/log.h"
#include "core/run_folder.h"
#include "core/units.h"
#include "plan/plan.h"

namespace nexus {
namespace {

struct TrainArguments {
  std::string file;
  std::vector<std::string> more_files, assignments;
  std::string out, resume = "auto", stop_after, until_stage, device = "cpu";
  std::vector<std::string> allowed_changes;
  bool dry_run = false;
};

std::string command_line() {
  std::string text = read_text_file("/proc/self/cmdline");
  for (char& c : text)
    if (c == '\0') c = ' ';
  return text;
}

LaunchOptions launch_options(const TrainArguments& arguments) {
  LaunchOptions launch;
  launch.resume = arguments.resume;
  launch.allowed_changes = arguments.allowed_changes;
  launch.until_stage = arguments.until_stage;
  launch.version = version();
  launch.command_line = command_line();
  if (!arguments.stop_after.empty()) launch.stop_after_seconds = parse_duration(arguments.stop_after);
  return launch;
}

// The run folder, once it is this job's own.
struct OwnRun {
  std::string folder;
  LaunchMark mark;
};

int train(const TrainArguments& arguments, std::unique_ptr<Communicator> world, OwnRun& run) {
  const std::optional<std::string> out = arguments.out.empty() ? std::nullopt : std::optional(arguments.out);
  LoadedCampaign loaded = load_campaign(arguments.file, arguments.more_files, arguments.assignments, out);
  if (world->rank() == 0)
    for (const std::string& text : loaded.warnings) warn("{}", text);
  require_changeable(loaded, arguments.allowed_changes);
  // The configuration that is kept and compared names the checkpoint, not the folder whose last one it is today.
  if (const std::string from = ancestor_checkpoint(loaded.spec); from != loaded.spec.init_from) {
    std::vector<std::string> assignments = arguments.assignments;
    assignments.push_back("init_from=" + quoted_text(from));
    loaded = load_campaign(arguments.file, arguments.more_files, assignments, out);
  }
  const std::vector<TaskSpec> tasks = find_tasks(loaded.spec.eval.tasks, "eval.tasks");
  if (arguments.dry_run) {
    const Forecast forecast = make_forecast(loaded.spec, world->size(), planned_device(arguments.device));
    if (world->rank() == 0) std::fputs(forecast_text(forecast).c_str(), stdout);
    const DataReview review = require_inputs(loaded.spec, tasks, *world);
    for (const std::string& line : review.lines) fmt::print("{}\n", line);
    for (const std::string& text : review.warnings) warn_text(text);
    return 0;
  }
  const CampaignInput input{loaded.spec,           loaded.file_text, loaded.resolved_yaml,
                            loaded.stage_numerics, class_of_key,     tasks};
  Device device = open_device(arguments.device, loaded.spec.precision.deterministic, std::move(world));
  LaunchOptions launch = launch_options(arguments);
  launch.on_open = [&run](const std::string& folder, const LaunchMark& mark) { run = {folder, mark}; };
  return to_int(run_campaign(input, launch, *device.backend, std::move(device.world)));
}

// STATUS of a run folder that exists says why the job ended, unless it belongs to a newer copy by now.
void report_error(const OwnRun& run, const std::string& text, const LaunchEnd& end) {
  if (!run.folder.empty() && seems_to_exist(run.folder) && owns_run({run.folder}, run.mark.generation))
    write_file_durably(RunFolder{run.folder}.status(), status_text({"nexus: error: " + text, end, run.mark}));
}

}  // namespace

void add_train_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* command = app.add_subcommand("train", "train a campaign; the same command continues a stopped run");
  command->add_option("CAMPAIGN", arguments->file, "campaign file")->required()->transform(path_to_read());
  command->add_option("-c,--config", arguments->more_files, "more configuration, merged over the campaign file")
      ->allow_extra_args(false)
      ->transform(path_to_read());
  command->add_option("-s,--set", arguments->assignments, "key=value, over everything else")->allow_extra_args(false);
  command->add_option("--out", arguments->out, "run folder");
  command
      ->add_option("--resume", arguments->resume,
                   "auto, never (begin anew where no checkpoint is left), or a checkpoint of this run")
      ->transform(path_of_shell());
  command->add_option("--stop-after", arguments->stop_after, "save and exit with 75 after this time, e.g. 2h")
      ->check(duration());
  command->add_option("--until-stage", arguments->until_stage, "end, with 0, when this stage is finished");
  command->add_option("--device", arguments->device, "cpu or cuda");
  command
      ->add_option("--allow-schedule-change", arguments->allowed_changes,
                   "key of class schedule whose value may differ from what the run was trained with")
      ->allow_extra_args(false);
  command->add_flag("--dry-run", arguments->dry_run,
                    "check the configuration, print the plan, and open what it names; train nothing");
  command->callback([arguments, &action] {
    action = [arguments] {
      OwnRun run;
      return run_under_mpi(
          [&](std::unique_ptr<Communicator> world) { return train(*arguments, std::move(world), run); },
          [&](const std::string& text, const LaunchEnd& end) { report_error(run, text, end); });
    };
  });
}

}  // namespace nexus
