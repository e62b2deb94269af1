#include "report/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/ascii.h"
#include "core/units.h"

namespace nexus {
namespace {

// A figure over other data than the run's last one stands in no row unmarked.
std::string marked(const std::optional<Score>& value) {
  const std::string text = format_score(value);
  return value && !value->other.empty() ? fmt::format("{} ({})", text, value->other) : text;
}

std::vector<std::string> growth_cells(const RunSummary& run, const StageSummary& stage) {
  const GrowthRecord& growth = *stage.growth;
  std::string dead = fmt::format("{} of {}", format_count(growth.dead_new_params), format_count(growth.new_params));
  if (!growth.dead_blocks.empty()) dead += fmt::format(" ({})", fmt::join(growth.dead_blocks, ", "));
  return {run.label,
          fmt::format("{} → {}", growth.from_stage, growth.stage),
          growth.init,
          growth.moments,
          fmt::format("{} → {}", format_count(growth.params_before), format_count(growth.params_after)),
          fmt::format("{:.1e}", growth.max_abs_dlogit),
          fmt::format("{:.1e}", growth.rel_dlogit),
          fmt::format("{:+.1e}", growth.dloss),
          dead,
          marked(stage.before_growth),
          marked(stage.after_growth)};
}

std::vector<std::string> stage_cells(const RunSummary& run, const StageSummary& stage) {
  const auto known = [&stage](std::string text) { return stage.committed ? std::move(text) : std::string(kNothing); };
  return {run.label,
          stage.stage,
          format_count(stage.params),
          known(fmt::format("{} / {}", stage.step, stage.steps)),
          known(format_count(stage.tokens)),
          known(format_flops(stage.flops)),
          known(format_flops(stage.total_flops)),
          known(format_seconds(stage.seconds)),
          known(format_seconds(stage.rank_seconds)),
          marked(stage.before_growth),
          marked(stage.after_growth),
          marked(stage.end)};
}

std::string figure_cell(const std::optional<StageFigure::Side>& side) {
  if (!side) return kNothing;
  const std::string text = format_with_error(side->figure.value, side->figure.se);
  return side->other.empty() ? text : fmt::format("{} ({})", text, side->other);
}

std::vector<std::string> figure_cells(const RunSummary& run, const StageSummary& stage, const StageFigure& figure) {
  const Figure& known = figure.newest();
  return {run.label,
          stage.stage,
          known.name,
          known.unit,
          figure_cell(figure.first),
          figure_cell(figure.last),
          known.count > 0 ? format_count(known.count) : kNothing};
}

std::string target_of(const ReportData& data, const RunSummary& run) {
  if (!run.saving || std::isnan(run.saving->target_loss)) return kNothing;
  return fmt::format("{:.4g}", data.words.value(run.saving->target_loss));
}

std::string flops_to_target(const Crossing& crossing) {
  switch (crossing.kind) {
    case Crossing::Kind::kReached: return format_flops(crossing.flops);
    case Crossing::Kind::kNotReached: return fmt::format("> {}", format_flops(crossing.flops));
    case Crossing::Kind::kBeforeFirst: return fmt::format("< {}", format_flops(crossing.flops));
    case Crossing::Kind::kNoCurve: break;
  }
  return kNothing;
}

std::string saving_cell(const ReportData& data, size_t index) {
  if (data.baseline == index) return "baseline";
  const auto& saving = data.runs[index].saving;
  if (!saving) return data.baseline ? "none: " + data.runs[index].incomparable : kNothing;
  return format_saving(*saving);
}

std::vector<std::string> run_cells(const ReportData& data, size_t index) {
  const RunSummary& run = data.runs[index];
  std::string flops = format_flops(run.total_flops);
  if (run.inherited_flops > 0) flops += fmt::format(" ({} inherited)", format_flops(run.inherited_flops));
  const auto differs = [&](const RunSummary& other) {
    return other.flops_def != run.flops_def && !other.flops_def.empty() && !run.flops_def.empty();
  };
  if (std::any_of(data.runs.begin(), data.runs.end(), differs)) flops += " by " + run.flops_def;
  const bool compared = run.saving.has_value();
  return {run.label,
          run.arch,
          run.done ? "done" : "unfinished",
          format_count(run.final_params),
          format_count(run.total_tokens),
          flops,
          format_seconds(run.rank_seconds),
          format_score(run.final_score),
          target_of(data, run),
          compared ? flops_to_target(run.saving->run) : kNothing,
          compared ? flops_to_target(run.saving->baseline) : kNothing,
          saving_cell(data, index)};
}

// CSV: numbers in full precision; what is unknown is empty.
class CsvRow {
 public:
  CsvRow& text(std::string_view value) {
    if (!line_.empty()) line_ += ",";
    line_ += escape_csv(value);
    return *this;
  }
  CsvRow& number(double value) { return text(std::isfinite(value) ? fmt::format("{:.17g}", value) : ""); }
  CsvRow& count(int64_t value) { return text(std::to_string(value)); }
  // By score_columns.
  CsvRow& score(const WorkloadWords& words, const std::optional<Score>& score) {
    if (words.has_perplexity()) score ? number(score->value).number(score->se) : skip(2);
    return score ? number(score->loss).number(score->loss_se) : skip(2);
  }
  CsvRow& skip(int fields) {
    for (int i = 0; i < fields; ++i) text("");
    return *this;
  }
  std::string line() const { return line_ + "\n"; }

 private:
  std::string line_;
};

// "ppl_before_growth,ppl_before_growth_se,loss_before_growth,loss_before_growth_se": `when` is "_before_growth".
std::string score_columns(const WorkloadWords& words, const std::string& when) {
  std::string columns;
  if (words.has_perplexity()) columns = fmt::format("{0}{1},{0}{1}_se,", words.symbol(), when);
  return columns + fmt::format("loss{0},loss{0}_se,", when);
}

std::string csv_header(const WorkloadWords& words) {
  return fmt::format(
      "scope,run,arch,stage,params,steps_done,steps,{},flops,flops_def,total_flops,inherited_flops,seconds,rank_"
      "seconds,"
      "{}{}{}max_abs_dlogit,dloss,dead_new_params,new_params,baseline,target_{},flops_to_target,"
      "baseline_flops_to_target,saved,saved_low,saved_high,saved_kind,incomparable\n",
      words.unit, score_columns(words, ""), score_columns(words, "_before_growth"),
      score_columns(words, "_after_growth"), words.symbol());
}

// "ppl_before_growth: other validation tokens" for each figure of a stage that does not compare with the run's last.
std::string marks_of(const StageSummary& stage, const WorkloadWords& words) {
  std::string marks;
  const auto add = [&](const char* when, const std::optional<Score>& score) {
    if (score && !score->other.empty())
      marks += fmt::format("{}{}{}: {}", marks.empty() ? "" : "; ", words.symbol(), when, score->other);
  };
  add("", stage.end);
  add("_before_growth", stage.before_growth);
  add("_after_growth", stage.after_growth);
  return marks;
}

void csv_stage(const WorkloadWords& words, const RunSummary& run, const StageSummary& stage, std::string& csv) {
  CsvRow row;
  row.text("stage").text(run.label).text(run.arch).text(stage.stage).count(stage.params);
  if (stage.committed)
    row.count(stage.step).count(stage.steps).count(stage.tokens).number(stage.flops).text(stage.flops_def);
  else
    row.skip(1).count(stage.steps).skip(2).text(stage.flops_def);
  if (stage.committed)
    row.number(stage.total_flops).skip(1).number(stage.seconds).number(stage.rank_seconds);
  else
    row.skip(4);
  row.score(words, stage.end).score(words, stage.before_growth).score(words, stage.after_growth);
  if (const auto& growth = stage.growth)
    row.number(growth->max_abs_dlogit).number(growth->dloss).count(growth->dead_new_params).count(growth->new_params);
  else
    row.skip(4);
  csv += row.skip(8).text(marks_of(stage, words)).line();
}

void csv_run(const ReportData& data, const RunSummary& run, std::string& csv) {
  CsvRow row;
  row.text("run").text(run.label).text(run.arch).text("").count(run.final_params).skip(2).count(run.total_tokens);
  row.skip(1).text(run.flops_def).number(run.total_flops).number(run.inherited_flops);
  row.number(run.seconds).number(run.rank_seconds).score(data.words, run.final_score);
  row.score(data.words, {}).score(data.words, {}).skip(4);
  row.text(data.baseline ? data.runs[*data.baseline].label : "");
  if (const auto& saving = run.saving; saving && saving->kind != Saving::Kind::kUndetermined) {
    row.number(data.words.value(saving->target_loss)).number(saving->run.flops).number(saving->baseline.flops);
    row.number(saving->saved).number(saving->low).number(saving->high);
    row.text(saving->kind == Saving::Kind::kExact ? "exact" : "at_least");
  } else {
    row.skip(6).text(saving ? saving->reason : run.incomparable.empty() ? "" : "incomparable");
  }
  csv += row.text(run.incomparable).line();
}

}  // namespace

std::string headline_definition(const WorkloadWords& words) {
  const std::string mean = "mean loss in " + words.loss_unit_in_words();
  return fmt::format(
      "{} is {} on the validation {}; ± is one standard error, the spread of the {}' mean losses divided by the root "
      "of "
      "their number; a single {} has none.",
      capitalized(words.headline), words.has_perplexity() ? "exp(" + mean + ")" : "the " + mean, words.samples,
      words.samples, words.one_sample());
}

std::string flops_definition_text(const ReportData& data) {
  std::set<std::string> names;
  for (const RunSummary& run : data.runs)
    if (!run.flops_def.empty()) names.insert(run.flops_def);
  return fmt::format(
      "FLOPs are training FLOPs (forward and backward) by definition {}; a run's total counts its ancestors' {} and "
      "FLOPs too.",
      fmt::join(names, ", "), data.words.unit);
}

std::string saving_definition(const ReportData& data) {
  if (!data.baseline) return "No saving is shown: there is no baseline run to compare with.";
  const WorkloadWords& words = data.words;
  return fmt::format(
      "Compute saved = 1 - C_run(p) / C_baseline(p), where C(p) is the cumulative training compute at which a run's "
      "validation {} first reaches p, interpolated in {}; baseline: {}; p: {}. The interval is {:.0f} % of {} "
      "bootstrap draws over evaluation noise. It does not hold the spread between training seeds.",
      words.headline, words.has_perplexity() ? "log-log" : "loss and log C", data.runs[*data.baseline].label,
      data.target_loss ? fmt::format("{:.6g}, as asked", words.value(*data.target_loss))
                       : "the best " + words.headline + " that both runs reach",
      100 * data.bootstrap.confidence, data.bootstrap.draws);
}

Table stage_table(const ReportData& data) {
  Table table;
  table.title = "Stages";
  table.definition =
      headline_definition(data.words) + " " + flops_definition_text(data) + " " + capitalized(data.words.unit) +
      ", FLOPs and times are the stage's own, as its last commit has them; rank time is the sum over ranks.";
  const std::string symbol = data.words.symbol();
  table.columns = {{"run", false},
                   {"stage", false},
                   {"parameters"},
                   {"steps"},
                   {data.words.unit},
                   {"FLOPs"},
                   {"FLOPs in all"},
                   {"time"},
                   {"rank time"},
                   {symbol + " before growth"},
                   {symbol + " after growth"},
                   {symbol + " at the end"}};
  for (const RunSummary& run : data.runs)
    for (const StageSummary& stage : run.stages) table.rows.push_back(stage_cells(run, stage));
  return table;
}

Table growth_table(const ReportData& data) {
  Table table;
  table.title = "Growth checks";
  table.definition =
      "max|Δlogit|, its ratio to the largest logit and Δloss: largest change of a logit and change of the loss by the "
      "growth "
      "on one fixed batch, before any update; they are exact figures of that batch. Dead: new parameters in whole new "
      "blocks that did not move in two updates on a copy. " +
      headline_definition(data.words);
  const std::string symbol = data.words.symbol();
  table.columns = {{"run", false},  {"stages", false},    {"new blocks", false}, {"moments", false},
                   {"parameters"},  {"max|Δlogit|"},      {"relative"},          {"Δloss"},
                   {"dead of new"}, {symbol + " before"}, {symbol + " after"}};
  for (const RunSummary& run : data.runs)
    for (const StageSummary& stage : run.stages)
      if (stage.growth) table.rows.push_back(growth_cells(run, stage));
  return table;
}

Table comparison_table(const ReportData& data) {
  Table table;
  table.title = "Comparison";
  table.definition =
      saving_definition(data) + " " + headline_definition(data.words) + " " + flops_definition_text(data);
  const std::string symbol = data.words.symbol();
  table.columns = {{"run", false},       {"architecture", false}, {"state", false},
                   {"final parameters"}, {data.words.unit},       {"FLOPs"},
                   {"rank time"},        {"final " + symbol},     {"target " + symbol},
                   {"FLOPs to target"},  {"baseline's FLOPs"},    {"compute saved"}};
  for (size_t i = 0; i < data.runs.size(); ++i) table.rows.push_back(run_cells(data, i));
  return table;
}

Table figure_table(const ReportData& data) {
  Table table;
  table.title = "Further evaluations";
  table.definition =
      "Figures of the evaluations besides the validation loss (eval.evaluations), at the first and at the last "
      "evaluation of each stage; ± is one standard error, where a figure has one. Count: what it is the mean of.";
  table.columns = {{"run", false}, {"stage", false}, {"figure", false}, {"unit", false},
                   {"first"},      {"last"},         {"count"}};
  for (const RunSummary& run : data.runs)
    for (const StageSummary& stage : run.stages)
      for (const StageFigure& figure : stage.figures) table.rows.push_back(figure_cells(run, stage, figure));
  return table;
}

std::string figures_csv(const ReportData& data) {
  std::string csv = "run,stage,figure,unit,first,first_se,first_incomparable,last,last_se,last_incomparable,count\n";
  const auto add = [](CsvRow& row, const std::optional<StageFigure::Side>& side) {
    if (side)
      row.number(side->figure.value).number(side->figure.se).text(side->other);
    else
      row.skip(3);
  };
  for (const RunSummary& run : data.runs)
    for (const StageSummary& stage : run.stages)
      for (const StageFigure& figure : stage.figures) {
        CsvRow row;
        row.text(run.label).text(stage.stage).text(figure.newest().name).text(figure.newest().unit);
        add(row, figure.first);
        add(row, figure.last);
        csv += row.count(figure.newest().count).line();
      }
  return csv;
}

std::string to_csv(const ReportData& data) {
  std::string csv = csv_header(data.words);
  for (const RunSummary& run : data.runs) {
    for (const StageSummary& stage : run.stages) csv_stage(data.words, run, stage, csv);
    csv_run(data, run, csv);
  }
  return csv;
}

}  // namespace nexus
