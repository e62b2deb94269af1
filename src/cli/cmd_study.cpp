// nexus study: a question as arms under the same seeds, from one file.
#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/gpu.h"
#include "cli/option_checks.h"
#include "config/study.h"
#include "core/error.h"
#include "core/json_text.h"
#include "core/log.h"
#include "core/units.h"
#include "study/study_plan.h"
#include "study/study_report.h"
#include "study/study_runner.h"
#include "study/study_status.h"
#include "system/process.h"

namespace nexus {
namespace {

struct StudyArguments {
  std::string file, stop_after, out;
  std::optional<double> mfu;
  bool json = false;
};

int run(const StudyArguments& arguments) {
  const StudySpec study = load_study(arguments.file);
  StudyLaunch launch;
  launch.program = own_program();
  if (launch.program.empty())
    throw Error(ErrorKind::kIo, "there is no /proc that says where nexus lies", "", "mount it");
  if (!arguments.stop_after.empty()) launch.stop_seconds = parse_duration(arguments.stop_after);
  launch.gpus = study.device == "cuda" ? gpu_count() : 0;
  return to_int(run_study(study, launch));
}

int show_status(const StudyArguments& arguments) {
  const StudySpec study = load_study(arguments.file);
  std::vector<QueuedJob> queue;
  try {
    queue = queue_of(study);
  } catch (const Error& error) {
    warn("study {}: {}", study.name, error.what());  // the run folders have something to say all the same
  }
  const std::vector<StudyRunView> views = view_study(study, queue);
  const std::string text = arguments.json ? json_text(status_json(study, views), 1) + "\n" : status_text(study, views);
  std::fputs(text.c_str(), stdout);
  return 0;
}

int report(const StudyArguments& arguments) {
  const StudySpec study = load_study(arguments.file);
  const StudyReport report = report_study(study);
  const std::string folder = arguments.out.empty() ? study.out + "/report" : arguments.out;
  for (const std::string& warning : write_study_report(study, report, folder)) warn("{}", warning);
  std::string text = missing_text(report);
  for (const Table& table : report.tables)
    if (!table.rows.empty()) text += to_markdown(table) + "\n";
  std::fputs(text.c_str(), stdout);
  log("study {} | {}/tables.md", study.name, folder);
  return 0;
}

int plan(const StudyArguments& arguments) {
  std::fputs(plan_text(load_study(arguments.file), arguments.mfu).c_str(), stdout);
  return 0;
}

CLI::App* add_subcommand(CLI::App& group, const std::string& name, const std::string& help,
                         int (*what)(const StudyArguments&), const std::shared_ptr<StudyArguments>& arguments,
                         Action& action) {
  CLI::App* command = group.add_subcommand(name, help);
  command->add_option("FILE", arguments->file, "study file")->required()->transform(path_to_read());
  command->callback([arguments, what, &action] { action = [arguments, what] { return what(*arguments); }; });
  return command;
}

}  // namespace

void add_study_command(CLI::App& app, Action& action) {
  CLI::App* group = app.add_subcommand("study", "arms under the same seeds, from one file");
  group->require_subcommand(1);
  const auto arguments = std::make_shared<StudyArguments>();
  add_subcommand(*group, "run", "train what is left to do on this machine; the same command continues", run, arguments,
                 action)
      ->add_option("--stop-after", arguments->stop_after, "save and exit with 75 after this time, e.g. 2h")
      ->check(duration());
  add_subcommand(*group, "plan", "tokens, FLOPs, hours, and what the seeds can show", plan, arguments, action)
      ->add_option("--mfu", arguments->mfu,
                   "for hours: the share of account.peak_tflops that is reached (default: as the runs so far)")
      ->check(number_above(0, 1));
  add_subcommand(*group, "status", "where the runs stand", show_status, arguments, action)
      ->add_flag("--json", arguments->json, "machine-readable, on stdout");
  add_subcommand(*group, "report", "arms over seeds, paired, with intervals", report, arguments, action)
      ->add_option("--out", arguments->out, "folder (default: report/ in the study's)")
      ->transform(path_of_shell());
}

}  // namespace nexus
