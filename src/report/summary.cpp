#include "report/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"
#include "report/eval_basis.h"

namespace nexus {
namespace {

constexpr int64_t kSavingCurvePoints = 41;

std::optional<Score> score_of(const RunHistory& run, const EvalRecord* row) {
  if (row == nullptr) return std::nullopt;
  const auto found = differences(basis_of(run, *row), "", basis_of(run, run.evals.back()), "");
  return Score{run.words.value(row->loss), run.words.error(row->loss, row->loss_se), row->loss, row->loss_se,
               found.empty() ? "" : found.front().brief};
}

// In the order in which the stage's evaluations bring them up.
std::vector<StageFigure> figures_of(const RunHistory& run, int64_t stage_index) {
  std::vector<StageFigure> figures;
  const auto add = [&](const EvalRecord* row, std::optional<StageFigure::Side> StageFigure::*side) {
    if (row == nullptr) return;
    for (const Figure& figure : row->figures) {
      const auto same = [&](const StageFigure& have) { return have.newest().name == figure.name; };
      auto at = std::find_if(figures.begin(), figures.end(), same);
      if (at == figures.end()) at = figures.insert(at, StageFigure{});
      (*at).*side = StageFigure::Side{figure, score_of(run, row)->other};
    }
  };
  const EvalRecord *first = run.first_eval(stage_index), *last = run.last_eval(stage_index);
  add(first, &StageFigure::first);
  if (last != first) add(last, &StageFigure::last);
  return figures;
}

// Whether the two sides of a growth are over the same tokens and windows.
bool sides_compare(const RunHistory& run, const EvalRecord* before, const EvalRecord* after) {
  return before == nullptr || after == nullptr ||
         differences(basis_of(run, *before), "", basis_of(run, *after), "").empty();
}

StageSummary summarise_stage(const RunHistory& run, const StageRecord& row) {
  StageSummary stage;
  stage.stage = row.stage;
  stage.flops_def = row.flops_def;
  stage.stage_index = row.stage_index;
  stage.params = row.params;
  stage.steps = row.steps;
  if (const CommitRecord* account = run.account_of(row.stage_index)) {
    stage.committed = true;
    stage.step = account->step;
    stage.tokens = account->stage_tokens;
    stage.flops = account->stage_flops;
    stage.total_flops = account->total_flops;
    stage.seconds = account->stage_seconds;
    stage.rank_seconds = account->stage_rank_seconds;
  }
  // The trainer evaluates the old model at the end of its stage; a run grown by hand may have an evaluation of its own.
  const EvalRecord* before = run.growth_eval(row.stage_index, "before_growth");
  if (before == nullptr && run.growth_into(row.stage_index) != nullptr) before = run.last_eval(row.stage_index - 1);
  const EvalRecord* after = run.growth_eval(row.stage_index, "after_growth");
  stage.before_growth = score_of(run, before);
  stage.after_growth = score_of(run, after);
  stage.growth_compares = sides_compare(run, before, after);
  stage.end = score_of(run, run.last_eval(row.stage_index));
  stage.figures = figures_of(run, row.stage_index);
  if (const GrowthRecord* growth = run.growth_into(row.stage_index)) stage.growth = *growth;
  return stage;
}

constexpr char kMixed[] = " + ";

// The definitions that a run's FLOPs were counted by, "6n + palm" for a run of an older nexus that changed it: such a
// total is comparable with none.
std::string definitions_of(const RunHistory& history) {
  std::set<std::string> names;
  for (const StageRecord& row : history.stages) names.insert(row.flops_def);
  for (const EvalRecord& row : history.evals) names.insert(row.flops_def);
  names.erase("");
  return fmt::format("{}", fmt::join(names, kMixed));
}

bool is_mixed(const RunSummary& run) {
  return run.flops_def.find(kMixed) != std::string::npos;
}

RunSummary summarise_run(const RunHistory& history, const std::string& label) {
  RunSummary run;
  run.label = label;
  run.folder = history.folder;
  run.arch = history.arch;
  run.status = history.status;
  run.done = history.done;
  for (const StageRecord& row : history.stages) run.stages.push_back(summarise_stage(history, row));
  if (!history.stages.empty()) run.final_params = history.stages.back().params;
  run.flops_def = definitions_of(history);
  for (const CommitRecord& account : history.commits) {
    run.seconds += account.stage_seconds;
    run.rank_seconds += account.stage_rank_seconds;
  }
  if (!history.commits.empty()) {
    const CommitRecord& last = history.commits.back();
    run.total_tokens = last.total_tokens;
    run.total_flops = last.total_flops;
    run.inherited_tokens = last.inherited_tokens;
    run.inherited_flops = last.inherited_flops;
  }
  if (!history.evals.empty()) {
    run.final_score = score_of(history, &history.evals.back());
  }
  run.curve = loss_curve(history);
  return run;
}

// Labels tell runs apart: equal names get their folder beside them.
std::vector<std::string> labels_of(const std::vector<RunHistory>& runs,
                                   const std::map<std::string, std::string>& given) {
  std::map<std::string, int> uses;
  for (const RunHistory& run : runs) ++uses[run.name];
  std::vector<std::string> labels;
  for (const RunHistory& run : runs) {
    const auto found = given.find(run.folder);
    if (found != given.end())
      labels.push_back(found->second);
    else
      labels.push_back(uses[run.name] == 1 ? run.name : fmt::format("{} ({})", run.name, run.folder));
  }
  return labels;
}

std::optional<size_t> baseline_of(const std::vector<RunSummary>& runs, const std::string& folder) {
  for (size_t i = 0; i < runs.size(); ++i)
    if (!folder.empty() && runs[i].folder == folder) return i;
  NX_CHECK(folder.empty(), "baseline {} was not read", folder);
  if (runs.size() < 2) return std::nullopt;
  for (const char* arch : {"tokenformer", "transformer"})
    for (size_t i = 0; i < runs.size(); ++i)
      if (runs[i].arch == arch) return i;
  return runs.size() - 1;
}

// Text of a pair's bits per byte, for runs whose perplexities per token do not compare; empty where one is not known.
std::string bits_per_byte_of(const RunHistory& run, const RunHistory& baseline) {
  const auto &a = run.evals.back().bits_per_byte, &b = baseline.evals.back().bits_per_byte;
  if (!a || !b) return "";
  return fmt::format(" (their last bits per byte are {:.3f} and {:.3f}: they compare where the text is the same)", *a,
                     *b);
}

// Why the saving of a run against the baseline would mean nothing; every reason is warned of.
std::string find_differences(ReportData& data, size_t index) {
  const RunSummary &run = data.runs[index], &base = data.runs[*data.baseline];
  const RunHistory &history = data.histories[index], &base_history = data.histories[*data.baseline];
  std::string brief;
  if (run.flops_def != base.flops_def || is_mixed(run)) {
    brief = "FLOP definitions differ";
    data.warnings.push_back(fmt::format("{} counts FLOPs by {}, {} by {}: no saving is computed", run.label,
                                        run.flops_def, base.label, base.flops_def));
  }
  if (history.evals.empty() || base_history.evals.empty()) return brief;
  const WorkloadWords& words = data.words;
  const std::string figures = words.has_perplexity() ? "perplexities per " + words.one_unit() : "losses";
  const EvalBasis basis = basis_of(history, history.evals.back());
  const EvalBasis base_basis = basis_of(base_history, base_history.evals.back());
  for (const BasisDifference& found : differences(basis, run.label, base_basis, base.label)) {
    if (brief.empty()) brief = found.brief;
    data.warnings.push_back(fmt::format("{}: their {} do not compare, no saving is computed{}", found.text, figures,
                                        found.of_tokenizers ? bits_per_byte_of(history, base_history) : ""));
  }
  if (brief.empty() && (basis.valid_digest.empty() || base_basis.valid_digest.empty()))
    data.warnings.push_back(
        fmt::format("{} against {}: an older nexus did not record which {} a {} is over; only their numbers and the "
                    "vocabularies were compared",
                    run.label, base.label, words.unit, words.headline));
  return brief;
}

void warn_of_gaps(ReportData& data) {
  for (size_t i = 0; i < data.runs.size(); ++i) {
    const RunSummary& run = data.runs[i];
    if (run.curve.empty())
      data.warnings.push_back(fmt::format("{} has no evaluations after its first step", run.label));
    const size_t left_out = data.histories[i].evals.size() - comparable_evals(data.histories[i]).size();
    if (left_out > 0)
      data.warnings.push_back(
          fmt::format("{}: {} evaluations are over other {} or {} than its last one: they are left out of curve "
                      "and saving, and marked in the tables",
                      run.label, left_out, data.words.unit, data.words.samples));
    if (!run.done) data.warnings.push_back(fmt::format("{} is not finished: its figures are those so far", run.label));
    if (is_mixed(run))
      data.warnings.push_back(fmt::format("{} has counted FLOPs by several definitions ({}): its total is none of them",
                                          run.label, run.flops_def));
  }
}

void compare(ReportData& data) {
  const RunSummary& base = data.runs[*data.baseline];
  for (size_t i = 0; i < data.runs.size(); ++i) {
    RunSummary& run = data.runs[i];
    if (i == *data.baseline) continue;
    run.incomparable = find_differences(data, i);
    if (!run.incomparable.empty()) continue;
    run.saving = compute_saved(run.curve, base.curve, data.target_loss, data.bootstrap);
    run.saving_curve = saving_curve(run.curve, base.curve, kSavingCurvePoints, data.bootstrap);
  }
}

void check_options(const SummaryOptions& options) {
  if (options.folders.empty()) throw Error(ErrorKind::kConfig, "no run to report on", "", "name a run folder");
  if (options.target_ppl && !(*options.target_ppl > 1.0 && std::isfinite(*options.target_ppl)))
    throw Error(ErrorKind::kConfig, fmt::format("a perplexity of {} is impossible", *options.target_ppl),
                "--target-ppl", "give a number above 1");
  if (options.target_loss && (options.target_ppl || !std::isfinite(*options.target_loss)))
    throw Error(ErrorKind::kConfig, options.target_ppl ? "the target is given twice" : "a target must be a number",
                "--target-loss", "give one number");
  for (const auto& [folder, label] : options.labels)
    if (std::find(options.folders.begin(), options.folders.end(), folder) == options.folders.end())
      throw Error(ErrorKind::kConfig, fmt::format("'{}' is none of the reported runs", folder), "--label",
                  "write RUN=NAME with RUN as on the command line");
}

// Of all runs; the target as a loss.
void set_measure(const SummaryOptions& options, ReportData& data) {
  const RunHistory& first = data.histories.front();
  data.words = first.words;
  for (const RunHistory& run : data.histories)
    if (!run.words.measures_as(data.words))
      throw Error(
          ErrorKind::kConfig,
          fmt::format("{} counts {} and measures {} ({}), {} counts {} and measures {} ({}): they do not compare",
                      first.folder, data.words.unit, data.words.loss_unit, data.words.name, run.folder, run.words.unit,
                      run.words.loss_unit, run.words.name),
          "", "report on each workload's runs alone");
  if (options.target_ppl && !data.words.has_perplexity())
    throw Error(ErrorKind::kConfig, fmt::format("runs of {} have no perplexity", data.words.name), "--target-ppl",
                "use --target-loss");
  if (options.target_loss && *options.target_loss <= 0 && data.words.has_perplexity())
    throw Error(ErrorKind::kConfig, fmt::format("a loss of {} is no {}", *options.target_loss, data.words.headline),
                "--target-loss", "give a positive loss");
  data.target_loss = options.target_ppl ? std::log(*options.target_ppl) : options.target_loss;
}

}  // namespace

ReportData summarise(const SummaryOptions& options) {
  check_options(options);
  ReportData data;
  data.bootstrap = options.bootstrap;
  for (const std::string& folder : options.folders) data.histories.push_back(read_run(folder));
  set_measure(options, data);
  const std::vector<std::string> labels = labels_of(data.histories, options.labels);
  for (size_t i = 0; i < labels.size(); ++i) data.runs.push_back(summarise_run(data.histories[i], labels[i]));
  data.baseline = baseline_of(data.runs, options.baseline);
  warn_of_gaps(data);
  if (data.baseline) compare(data);
  return data;
}

}  // namespace nexus
