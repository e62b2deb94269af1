// nexus metrics tail|plot|export: what runs have recorded, for people and for other programs.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include "cli/commands.h"
#include "cli/option_checks.h"
#include "core/error.h"
#include "core/files.h"
#include "core/log.h"
#include "monitor/metrics_export.h"
#include "monitor/metrics_table.h"
#include "monitor/terminal_plot.h"
#include "monitor/view_runs.h"
#include "records/status_record.h"
#include "system/terminal.h"

namespace nexus {
namespace {

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

std::vector<RunSeries> read_all(const std::vector<std::string>& folders) {
  std::vector<RunSeries> runs;
  for (const std::string& folder : folders) runs.push_back(read_series(folder));
  return runs;
}

struct TailArguments {
  std::string run;
  int64_t count = 20;
  bool follow = false;
};

int tail(const TailArguments& arguments) {
  const RunFolder folder{arguments.run};
  const RunSeries series = read_series(arguments.run);
  MetricsTable table(series.words);
  print(table.header() + table.last(series, static_cast<size_t>(arguments.count)));
  while (arguments.follow) {
    // Its end is read before the rows: what is written before it ends is still shown.
    const std::optional<StatusRecord> status = read_status(folder);
    print(table.news(read_series_end(arguments.run)));
    if (status && status->end) {
      print(status->text + "\n");
      break;
    }
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  return 0;
}

struct PlotArguments {
  std::vector<std::string> runs;
  std::string value = "loss", x = "tokens";
  int64_t width = 0, height = 20;
  bool log_x = false, log_y = false;
};

int plot(const PlotArguments& arguments) {
  const std::vector<RunSeries> runs = read_all(arguments.runs);
  if (const std::vector<std::string> names = names_of(runs); std::ranges::find(names, arguments.value) == names.end())
    throw Error(ErrorKind::kConfig, fmt::format("no run has recorded '{}'", arguments.value), "--value",
                fmt::format("name one of {}", fmt::join(names, ", ")));
  std::vector<PlotCurve> curves;
  for (const RunSeries& run : runs) {
    PlotCurve curve{run.name, {}};
    double flops = 0;
    for (const SeriesRow& row : run.rows) {
      if (const double* spent = row.find("flops")) flops = *spent;
      const double* value = row.find(arguments.value);
      if (!value) continue;
      const double hours = (row.time - run.rows.front().time) / 3600;
      curve.points.emplace_back(arguments.x == "tokens"  ? static_cast<double>(row.tokens)
                                : arguments.x == "flops" ? flops
                                                         : hours,
                                *value);
    }
    curves.push_back(std::move(curve));
  }
  PlotOptions options;
  options.title = arguments.value;
  options.x_label = arguments.x == "tokens" ? runs.front().words.unit : arguments.x;
  options.width = arguments.width > 0 ? static_cast<int>(arguments.width) : terminal_columns(STDOUT_FILENO);
  options.height = static_cast<int>(arguments.height);
  options.log_x = arguments.log_x;
  options.log_y = arguments.log_y;
  options.color = wants_color(STDOUT_FILENO);
  print(plot_text(curves, options));
  return 0;
}

struct ExportArguments {
  std::vector<std::string> runs;
  std::string format, out;
};

int export_metrics(const ExportArguments& arguments) {
  const std::vector<RunSeries> runs = read_all(arguments.runs);
  if (arguments.format == "tensorboard") {
    if (arguments.out.empty())
      throw Error(ErrorKind::kConfig, "event files need a folder", "--out", "add --out FOLDER");
    write_tensorboard(runs, arguments.out);
    return 0;
  }
  std::string text;
  if (arguments.format == "csv")
    text = csv_text(runs);
  else
    text = prometheus_text(runs, view_runs(arguments.runs, find_alive(arguments.runs, queue_if_any())));
  if (arguments.out.empty())
    print(text);
  else
    replace_file(arguments.out, text);
  return 0;
}

void add_tail(CLI::App& group, Action& action) {
  const auto arguments = std::make_shared<TailArguments>();
  CLI::App* command = group.add_subcommand("tail", "the last steps and evaluations as a table");
  command->add_option("RUN", arguments->run, "run folder")->required()->transform(path_to_read());
  command->add_option("-n,--lines", arguments->count, "rows; 0: all")->capture_default_str()->check(whole_number(0));
  command->add_flag("-f,--follow", arguments->follow, "go on with what is recorded, until the run ends");
  command->callback([arguments, &action] { action = [arguments] { return tail(*arguments); }; });
}

void add_plot(CLI::App& group, Action& action) {
  const auto arguments = std::make_shared<PlotArguments>();
  CLI::App* command = group.add_subcommand("plot", "curves of one or more runs in the terminal");
  command->add_option("RUN", arguments->runs, "run folders")->required()->transform(path_to_read());
  command->add_option("--value", arguments->value, "what: a name of metrics.jsonl, or eval/NAME")
      ->capture_default_str();
  command->add_option("--x", arguments->x, "against what")
      ->capture_default_str()
      ->check(CLI::IsMember({"tokens", "flops", "hours"}));
  command->add_flag("--log-x", arguments->log_x, "logarithmic");
  command->add_flag("--log-y", arguments->log_y, "logarithmic");
  command->add_option("--width", arguments->width, "characters; the terminal's unless told")
      ->check(whole_number(30, 1000));
  command->add_option("--height", arguments->height, "lines")->capture_default_str()->check(whole_number(6, 500));
  command->callback([arguments, &action] { action = [arguments] { return plot(*arguments); }; });
}

void add_export(CLI::App& group, Action& action) {
  const auto arguments = std::make_shared<ExportArguments>();
  CLI::App* command = group.add_subcommand("export", "records in the formats of other programs");
  command->add_option("RUN", arguments->runs, "run folders")->required()->transform(path_to_read());
  command->add_option("--format", arguments->format, "of what is written")
      ->required()
      ->check(CLI::IsMember({"csv", "tensorboard", "prometheus"}));
  command->add_option("--out", arguments->out, "file (tensorboard: folder); stdout unless told")
      ->transform(path_of_shell());
  command->callback([arguments, &action] { action = [arguments] { return export_metrics(*arguments); }; });
}

}  // namespace

void add_metrics_command(CLI::App& app, Action& action) {
  CLI::App* group = app.add_subcommand("metrics", "what runs have recorded: tables, curves, other programs' files");
  group->require_subcommand(1);
  add_tail(*group, action);
  add_plot(*group, action);
  add_export(*group, action);
}

}  // namespace nexus
