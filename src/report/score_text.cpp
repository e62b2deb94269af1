// The tables of report/score_table.h as texts and files.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/files.h"
#include "report/html.h"
#include "report/score_table.h"

namespace nexus {
namespace {

using ScoreUnit = ScoreColumn::Unit;

std::string cell_text(const std::optional<ScoreCell>& cell) {
  if (!cell) return kNothing;
  return format_with_error(cell->value, cell->se) + (cell->incomparable.empty() ? "" : " ‡");
}

std::string header_of(const ScoreColumn& column) {
  return column.name() + (column.unit == ScoreUnit::kPercent ? " %" : "");
}

bool has_average(const ScoreTables& scores) {
  return std::ranges::count(scores.columns, ScoreUnit::kPercent, &ScoreColumn::unit) > 1;
}

std::string definition_of(const ScoreTables& scores) {
  std::string text = "± is one standard error, over the task's items.";
  if (has_average(scores)) text += " The average is the mean of all accuracies.";
  std::vector<std::string> sources, reasons;
  for (const ScoreRow& row : scores.rows) {
    if (!row.published.empty() && std::ranges::find(sources, row.published) == sources.end())
      sources.push_back(row.published);
    for (const std::optional<ScoreCell>* cell = row.cells.data(); cell <= row.cells.data() + row.cells.size(); ++cell) {
      const std::optional<ScoreCell>& each = cell == row.cells.data() + row.cells.size() ? row.average : *cell;
      if (each && !each->incomparable.empty() && std::ranges::find(reasons, each->incomparable) == reasons.end())
        reasons.push_back(each->incomparable);
    }
  }
  if (!sources.empty())
    text += fmt::format(
        " † published ({}), not measured by nexus: trained on other data, for other numbers of tokens and with other "
        "tokenizers; HellaSwag and ARC-challenge are taken for acc_norm.",
        fmt::join(sources, "; "));
  if (!reasons.empty()) text += fmt::format(" ‡ not comparable: {}.", fmt::join(reasons, "; "));
  return text;
}

std::string number_text(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "";
}

std::string csv_line(const std::vector<std::string>& fields) {
  std::string line;
  for (const std::string& field : fields) line += (line.empty() ? "" : ",") + escape_csv(field);
  return line + "\n";
}

std::string p_text(double p) {
  return p < 1e-4 ? fmt::format("{:.1e}", p) : fmt::format("{:.4f}", p);
}

}  // namespace

Table score_table(const ScoreTables& scores) {
  Table table{"Scores of tasks", definition_of(scores), {{"model", false}}, {}};
  for (const ScoreColumn& column : scores.columns) table.columns.push_back({header_of(column)});
  const bool average = has_average(scores);
  if (average) table.columns.push_back({"average %"});
  for (const ScoreRow& row : scores.rows) {
    std::string label = row.label;
    if (!row.published.empty()) label += " †";
    if (scores.baseline && row.published.empty() && row.label == *scores.baseline) label += " (baseline)";
    std::vector<std::string> cells{label};
    for (const std::optional<ScoreCell>& cell : row.cells) cells.push_back(cell_text(cell));
    if (average) cells.push_back(cell_text(row.average));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

Table score_test_table(const ScoreTables& scores) {
  Table table{
      "Paired tests" + (scores.baseline ? " against " + *scores.baseline : ""),
      "On the same items. Accuracies: difference in points with its paired 95 % interval, items that only one of the "
      "two has right, "
      "McNemar's exact p and mid-p. Perplexities: ratio to the baseline's (bits per byte: difference) with the 95 % "
      "interval of 2000 "
      "bootstrap draws of items (seed 1) and their p. Average: the tasks' paired errors, by a normal distribution. No "
      "p is corrected for "
      "the number of tests; what another training seed would do is not in them.",
      {{"model", false}, {"task", false}, {"difference"}, {"95 %"}, {"only model : only baseline"}, {"p"}, {"mid-p"}},
      {}};
  for (const ScoreTest& test : scores.tests) {
    const std::string task = test.column ? scores.columns[*test.column].name() : "average";
    if (!test.reason.empty()) {
      table.rows.push_back({test.model, task, "not tested: " + test.reason, kNothing, kNothing, kNothing, kNothing});
      continue;
    }
    const ScoreUnit unit = test.column ? scores.columns[*test.column].unit : ScoreUnit::kPercent;
    const auto told = [unit](double value) {
      return unit == ScoreUnit::kPercent ? fmt::format("{:+.2f}", value)
             : unit == ScoreUnit::kBits  ? fmt::format("{:+.4f}", value)
                                         : fmt::format("× {:.4f}", value);
    };
    table.rows.push_back({test.model, task, told(test.difference),
                          fmt::format("[{}, {}]", told(test.low), told(test.high)),
                          test.accuracies ? fmt::format("{} : {}", test.accuracies->only_a, test.accuracies->only_b)
                                          : std::string(kNothing),
                          p_text(test.p), test.accuracies ? p_text(test.accuracies->mid) : std::string(kNothing)});
  }
  return table;
}

std::string scores_csv(const ScoreTables& scores) {
  std::string text = csv_line({"scope", "model", "published", "task", "metric", "value", "se", "incomparable",
                               "baseline", "low", "high", "only_model", "only_baseline", "p", "mid_p"});
  const auto figure = [&](const ScoreRow& row, const std::string& task, const std::string& metric,
                          const std::optional<ScoreCell>& cell) {
    if (cell)
      text += csv_line({"score", row.label, row.published, task, metric, number_text(cell->value),
                        number_text(cell->se), cell->incomparable, "", "", "", "", "", "", ""});
  };
  for (const ScoreRow& row : scores.rows) {
    for (size_t i = 0; i < scores.columns.size(); ++i)
      figure(row, scores.columns[i].task, scores.columns[i].metric, row.cells[i]);
    figure(row, "average", "acc", row.average);
  }
  for (const ScoreTest& test : scores.tests) {
    const ScoreColumn column = test.column ? scores.columns[*test.column] : ScoreColumn{"average", "acc"};
    const auto number = [&](double value) { return test.reason.empty() ? number_text(value) : ""; };
    const auto count = [&](int64_t McNemar::*member) {
      return test.accuracies ? std::to_string(*test.accuracies.*member) : "";
    };
    text +=
        csv_line({"test", test.model, "", column.task, column.metric, number(test.difference), "", test.reason,
                  *scores.baseline, number(test.low), number(test.high), count(&McNemar::only_a),
                  count(&McNemar::only_b), number(test.p), test.accuracies ? number_text(test.accuracies->mid) : ""});
  }
  return text;
}

ScoreReport write_score_report(const ScoreTables& scores, const std::string& folder, const std::string& command,
                               const std::string& version) {
  std::string markdown, html, latex = "% needs \\usepackage{booktabs}\n";
  for (const std::string& warning : scores.warnings) markdown += fmt::format("> {}\n", warning);
  if (!markdown.empty()) markdown += "\n";
  for (const Table& table : {score_table(scores), score_test_table(scores)}) {
    if (table.rows.empty()) continue;
    markdown += to_markdown(table) + "\n";
    html += to_html(table);
    latex += "\n" + to_latex(table);
  }
  html += fmt::format("<h2>Repeat it</h2>\n<p class=\"soft\">nexus {}</p>\n<pre>{}</pre>\n", escape_html(version),
                      escape_html(command));
  make_folders(folder);
  write_file_durably(folder + "/zero-shot.md", markdown);
  write_file_durably(folder + "/zero-shot.csv", scores_csv(scores));
  write_file_durably(folder + "/zero-shot.tex", latex);
  write_file_durably(folder + "/zero-shot.html", html_document("nexus report: scores of tasks", html));
  return {scores, folder, markdown};
}

}  // namespace nexus
