#include "monitor/metrics_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/units.h"
#include "monitor/terminal_plot.h"

namespace nexus {
namespace {

constexpr int kStageColumns = 12;

std::string number(const SeriesRow& row, const char* name, const char* format) {
  const double* value = row.find(name);
  return value ? fmt::format(fmt::runtime(format), *value) : "-";
}

}  // namespace

std::string MetricsTable::header() const {
  return fmt::format("{} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>10} {:>8}\n", fit("stage", kStageColumns), "step",
                     words_.unit, "loss", "lr", "grad_norm", "step_ms", words_.short_unit + "_per_s", "mfu_pct");
}

std::string MetricsTable::line(const SeriesRow& row) const {
  std::string text =
      fmt::format("{} {:>8} {:>8} ", fit(row.place.stage, kStageColumns), row.place.step, format_count(row.tokens));
  if (row.is_eval) {
    text += fmt::format("{:>9}", number(row, "eval/loss", "{:.4f}"));
    for (const auto& [name, value] : row.values)
      if (name != "eval/loss") text += fmt::format(" {} {:.5g}", name.substr(std::string("eval/").size()), value);
    return text + " (evaluation)\n";
  }
  const double* rate = row.find("tok_per_s");
  return text + fmt::format("{:>9} {:>9} {:>9} {:>9} {:>10} {:>8}\n", number(row, "loss", "{:.4f}"),
                            number(row, "lr", "{:.2e}"), number(row, "grad_norm", "{:.3f}"),
                            number(row, "step_ms", "{:.1f}"), rate ? format_count(std::llround(*rate)) : "-",
                            number(row, "mfu_pct", "{:.1f}"));
}

std::string MetricsTable::last(const RunSeries& series, size_t count) {
  std::string text;
  const size_t size = series.rows.size();
  for (size_t i = count == 0 || count > size ? 0 : size - count; i < size; ++i) text += line(series.rows[i]);
  if (size > 0) shown_ = place_of(series.rows.back()), time_ = series.rows.back().time;
  return text;
}

std::string MetricsTable::news(const RunSeries& series) {
  const auto is_new = [this](const SeriesRow& row) { return place_of(row) > shown_ || row.time > time_; };
  std::string text;
  for (const SeriesRow& row : series.rows) {
    if (!is_new(row)) continue;
    if (text.empty() && place_of(row) <= shown_)
      text += fmt::format("the run went on from an earlier checkpoint: step {} again\n", row.place.step);
    text += line(row);
  }
  if (text.empty()) return text;
  shown_ = place_of(series.rows.back());
  for (const SeriesRow& row : series.rows) time_ = std::max(time_, row.time);
  return text;
}

}  // namespace nexus
