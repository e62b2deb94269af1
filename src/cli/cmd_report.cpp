// nexus report RUN... [--baseline RUN] [--out DIR] [--label RUN=NAME]... [--target-ppl X | --target-loss X]
// [--no-pictures] [--json] [--table zero-shot]
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/build_facts.h"
#include "cli/commands.h"
#include "cli/option_checks.h"
#include "core/error.h"
#include "core/files.h"
#include "core/json_text.h"
#include "core/log.h"
#include "core/run_folder.h"
#include "report/curves_json.h"
#include "report/html.h"
#include "report/report.h"
#include "report/score_table.h"
#include "system/expand_path.h"
#include "system/shell_quote.h"

namespace nexus {
namespace {

struct ReportArguments {
  std::vector<std::string> runs, labels;
  std::string baseline, out;
  double target_ppl = 0;  // 0: not given
  std::optional<double> target_loss;
  std::string table;
  bool json = false, no_pictures = false;
};

// runs/a/ and runs/a are one run.
std::string normal_path(const std::string& path) {
  std::string normal = std::filesystem::path(path).lexically_normal().string();
  if (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

// The name under which `path` is reported: that of the folder which is already among `folders`, whatever path and links
// lead to it. A run is not compared with itself.
std::string reported_name(const std::string& path, const std::vector<std::string>& folders) {
  const std::string normal = normal_path(path);
  std::error_code none;
  for (const std::string& folder : folders)
    if (folder == normal || std::filesystem::equivalent(folder, normal, none)) return folder;
  return normal;
}

// The run of "RUN=NAME" under the name that it is reported by; nothing if that is none of `folders`.
std::optional<std::string> labelled_run(std::string run, const std::vector<std::string>& folders) {
  if (const ExpandedPath expanded = expand_path(run); !path_exists(run) && expanded.problem.empty())
    run = expanded.path;
  const std::string name = reported_name(run, folders);
  return std::ranges::find(folders, name) == folders.end() ? std::nullopt : std::optional(name);
}

// Paths and names may hold "=" themselves ("lr=1e-3"): the first one behind a run parts them.
std::map<std::string, std::string> labels_of(const ReportArguments& arguments,
                                             const std::vector<std::string>& folders) {
  std::map<std::string, std::string> labels;
  for (const std::string& text : arguments.labels) {
    std::optional<std::string> run;
    size_t equals = text.find('=');
    for (; equals != std::string::npos; equals = text.find('=', equals + 1))
      if (equals > 0 && (run = labelled_run(text.substr(0, equals), folders))) break;
    if (!run)
      throw Error(ErrorKind::kConfig, fmt::format("'{}' names none of the reported runs", text), "--label",
                  "write RUN=NAME with RUN as on the command line");
    if (equals + 1 == text.size())
      throw Error(ErrorKind::kConfig, fmt::format("'{}' has no name", text), "--label", "write --label runs/a=NAME");
    labels[*run] = text.substr(equals + 1);
  }
  return labels;
}

std::vector<std::string> command_of(const ReportArguments& arguments) {
  std::vector<std::string> words = {"nexus", "report"};
  words.insert(words.end(), arguments.runs.begin(), arguments.runs.end());
  const auto add = [&words](const char* option, const std::string& value) {
    if (!value.empty()) words.insert(words.end(), {option, value});
  };
  add("--baseline", arguments.baseline);
  add("--out", arguments.out);
  for (const std::string& label : arguments.labels) add("--label", label);
  if (arguments.target_ppl > 0) add("--target-ppl", fmt::format("{}", arguments.target_ppl));
  if (arguments.target_loss) add("--target-loss", fmt::format("{}", *arguments.target_loss));
  return words;
}

ReportOptions options_of(const ReportArguments& arguments) {
  ReportOptions options;
  std::vector<std::string>& folders = options.summary.folders;
  const auto add_once = [&folders](const std::string& path) {
    const std::string name = reported_name(path, folders);
    if (std::find(folders.begin(), folders.end(), name) == folders.end()) folders.push_back(name);
    return name;
  };
  for (const std::string& run : arguments.runs) add_once(run);
  if (!arguments.baseline.empty()) options.summary.baseline = add_once(arguments.baseline);
  options.summary.labels = labels_of(arguments, folders);
  if (arguments.target_ppl != 0) options.summary.target_ppl = arguments.target_ppl;
  options.summary.target_loss = arguments.target_loss;
  options.out = arguments.out;
  options.command = command_of(arguments);
  options.version = version();
  options.pictures = !arguments.no_pictures;
  return options;
}

// --table zero-shot: scores of tasks instead of curves.
int report_scores(const ReportArguments& arguments) {
  if (arguments.json || arguments.target_ppl > 0 || arguments.target_loss)
    throw Error(ErrorKind::kConfig, "--json and targets mean nothing for a table of scores", "--table",
                "remove them; zero-shot.csv has the figures in full precision");
  const SummaryOptions options = options_of(arguments).summary;
  std::vector<ModelScores> models;
  std::optional<size_t> baseline;
  for (const std::string& folder : options.folders) {
    models.push_back(read_model_scores(folder));
    if (const auto label = options.labels.find(folder); label != options.labels.end())
      models.back().label = label->second;
    if (folder == options.baseline) baseline = models.size() - 1;
    for (size_t i = 0; i + 1 < models.size(); ++i)
      if (models[i].label == models.back().label)
        throw Error(ErrorKind::kConfig, fmt::format("two models are called {}", models[i].label), folder,
                    "tell them apart with --label RUN=NAME");
  }
  const std::string folder = arguments.out.empty() ? RunFolder{options.folders.front()}.report_folder() : arguments.out;
  std::vector<std::string> command = command_of(arguments);
  command.insert(command.end(), {"--table", arguments.table});
  const ScoreReport result =
      write_score_report(compare_scores(models, baseline), folder, shell_command(command), version());
  for (const std::string& warning : result.tables.warnings) warn("report: {}", warning);
  std::fputs(result.markdown.c_str(), stdout);
  log("report {}/zero-shot.html | also .md .csv .tex | models {}", folder, models.size());
  return 0;
}

int report(const ReportArguments& arguments) {
  if (!arguments.table.empty()) return report_scores(arguments);
  const ReportResult result = write_report(options_of(arguments));
  for (const std::string& warning : result.warnings) warn("report: {}", warning);
  if (arguments.json) {
    nlohmann::ordered_json summary = summary_json(result.data);
    summary["folder"] = result.folder;
    summary["pictures"] = result.pictures;
    summary["warnings"] = result.warnings;
    std::cout << json_text(summary, 2) << std::endl;
    return 0;
  }
  for (const std::string& sentence : findings(result.data)) log_text(sentence);
  log("report {}/report.html | runs {} | pictures {}", result.folder, result.data.runs.size(), result.pictures.size());
  return 0;
}

}  // namespace

void add_report_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("report", "Tables, pictures and compute saved at matched perplexity of runs");
  const auto arguments = std::make_shared<ReportArguments>();
  command->add_option("RUN", arguments->runs, "Run folders")->required()->transform(path_to_read());
  command
      ->add_option("--baseline", arguments->baseline,
                   "Run to compare with (default: the first Tokenformer, else transformer, else the last run)")
      ->transform(path_to_read());
  command->add_option("--out", arguments->out, "Folder of the report (default: the first RUN's report/)")
      ->transform(path_of_shell());
  command->add_option("--label", arguments->labels, "RUN=NAME: call that run NAME")->allow_extra_args(false);
  command
      ->add_option("--target-ppl", arguments->target_ppl,
                   "Perplexity at which compute is compared (default: the best that both runs reach)")
      ->check(number_above(1, 1e12));
  command->add_option("--target-loss", arguments->target_loss, "The same as a loss, in the workload's unit")
      ->check(number_from(-1e12, 1e12));
  command
      ->add_option("--table", arguments->table, "zero-shot: scores of tasks, of runs and folders of `nexus eval --out`")
      ->check(CLI::IsMember({"zero-shot"}));
  command->add_flag("--no-pictures", arguments->no_pictures, "Tables and page only; no Python is needed");
  command->add_flag("--json", arguments->json, "The figures as JSON on stdout");
  command->callback([arguments, &action] { action = [arguments] { return report(*arguments); }; });
}

}  // namespace nexus
