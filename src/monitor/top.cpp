#include "monitor/top.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/exit_code.h"
#include "core/units.h"
#include "monitor/terminal_plot.h"
#include "records/status_record.h"
#include "statistics/quantiles.h"

namespace nexus {
namespace {

constexpr size_t kRateSteps = 20;
constexpr int kGap = 2, kMostWidth = 24;  // of bar and course

std::string state_of(const RunView& view) {
  if (view.status.empty()) return "waiting";
  const StatusRecord status = parse_status(view.status);
  if (status.is_done()) return "done";
  if (!status.end) return view.status.substr(0, view.status.find(' '));  // running, killed
  const bool goes_on = status.end->exit == ExitCode::kStopped || status.end->exit == ExitCode::kDone;
  return goes_on ? "stopped" : fmt::format("exit {}", to_int(status.end->exit));
}

struct Progress {
  double share = 0;
  std::string stage;  // "s440 2/2"
};
Progress progress_of(const RunView& view) {
  Progress progress;
  double done = 0, all = 0;
  size_t at = 0;
  for (size_t i = 0; i < view.stages.size(); ++i) {
    done += static_cast<double>(view.stages[i].tokens_done);
    all += static_cast<double>(view.stages[i].tokens);
    if (view.stages[i].state != "waiting") at = i;
  }
  progress.share = all > 0 ? done / all : 0;
  if (!view.stages.empty()) progress.stage = fmt::format("{} {}/{}", view.stages[at].name, at + 1, view.stages.size());
  return progress;
}

// Of the steps at the end of the series, oldest first.
std::vector<double> last_values(const RunSeries& series, const char* name, size_t count) {
  std::vector<double> values;
  for (auto row = series.rows.rbegin(); row != series.rows.rend() && values.size() < count; ++row)
    if (const double* value = row->is_eval ? nullptr : row->find(name)) values.push_back(*value);
  std::ranges::reverse(values);
  return values;
}

std::string bar(double share, int width) {
  const int full = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * width));
  std::string text;
  for (int i = 0; i < width; ++i) text += i < full ? "━" : "·";
  return text;
}

std::string cost_text(const std::vector<SpentView>& all) {
  std::string text;
  for (const SpentView& spent : all) {
    if (spent.what != "gpu_hours" && spent.what != "money") continue;
    if (!text.empty()) text += " ";
    text += fmt::format("{:.3g}", spent.spent);
    if (spent.limit) text += fmt::format("/{:.3g}", *spent.limit);
    if (spent.what == "gpu_hours") text += " h";
  }
  return text;
}

using Cells = std::vector<std::string>;

}  // namespace

std::string top_text(const std::vector<TopRun>& runs, int columns) {
  enum Field { kRun, kState, kStage, kBar, kDone, kLoss, kCourse, kRate, kMfu, kLeft, kCost, kColumns };
  const std::string rate_header = runs.empty() ? "rate" : runs.front().series.words.short_unit + "/s";
  std::vector<Cells> rows = {{"run", "state", "stage", "", "done", "loss", "", rate_header, "mfu %", "left", "cost"}};
  double rates = 0, hours = 0, money = 0;
  bool has_money = false;
  int64_t running = 0;
  std::vector<double> shares;
  std::vector<std::vector<double>> courses;
  for (const TopRun& run : runs) {
    const Progress progress = progress_of(run.view);
    const std::string state = state_of(run.view);
    const bool runs_now = state == StatusRecord::kRunning;
    const std::vector<double> rate = last_values(run.series, "tok_per_s", kRateSteps);
    const std::vector<double> mfu = last_values(run.series, "mfu_pct", kRateSteps);
    shares.push_back(progress.share);
    courses.push_back(last_values(run.series, "loss", run.series.rows.size()));
    const double pace = rate.empty() ? 0 : median(rate);
    if (runs_now) rates += pace, ++running;
    for (const SpentView& spent : run.view.spent) {
      if (spent.what == "gpu_hours") hours += spent.spent;
      if (spent.what == "money") money += spent.spent, has_money = true;
    }
    rows.push_back(
        {run.view.run, state, progress.stage, "", fmt::format("{:.0f} %", 100 * progress.share),
         courses.back().empty() ? "" : run.series.words.loss_text(courses.back().back()), "",
         rate.empty() ? "" : format_count(std::llround(pace)), mfu.empty() ? "" : fmt::format("{:.1f}", median(mfu)),
         runs_now && run.view.seconds_left ? format_seconds(*run.view.seconds_left) : "", cost_text(run.view.spent)});
  }
  std::vector<int> widths(kColumns);
  int used = 0;
  for (int c = 0; c < kColumns; ++c) {
    for (const Cells& row : rows) widths[c] = std::max(widths[c], columns_of(row[c]));
    used += widths[c] + (c > 0 ? kGap : 0);
  }
  const int room = std::clamp((columns - used) / 2, 4, kMostWidth);
  widths[kBar] = widths[kCourse] = room;
  widths[kRun] = std::max(8, widths[kRun] - std::max(0, used + 2 * room - columns));
  std::string text;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i > 0) rows[i][kBar] = bar(shares[i - 1], room), rows[i][kCourse] = sparkline(courses[i - 1], room);
    // Of a path that is too long its end tells more.
    if (const int long_by = columns_of(rows[i][kRun]) - widths[kRun]; long_by > 0)
      rows[i][kRun].replace(0, rows[i][kRun].size() - static_cast<size_t>(widths[kRun] - 1), "…");
    std::string line;
    for (int c = 0; c < kColumns; ++c) {
      const bool right = c >= kDone && c != kCourse && c != kCost;
      const std::string cell = rows[i][c];
      const std::string blanks(static_cast<size_t>(std::max(0, widths[c] - columns_of(cell))), ' ');
      line += (c > 0 ? std::string(kGap, ' ') : "") + (right ? blanks + cell : fit(cell, widths[c]));
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  text += fmt::format("{} of {} running", running, runs.size());
  if (rates > 0) text += fmt::format(" | {} {}", format_count(std::llround(rates)), rate_header);
  text += fmt::format(" | {:.3g} gpu_hours", hours);
  if (has_money) text += fmt::format(" | money {:.4g}", money);
  return text + "\n";
}

}  // namespace nexus
