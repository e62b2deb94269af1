#include "report/summary.h"

#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <limits>

#include "core/files.h"
#include "core/run_folder.h"
#include "report/tables.h"
#include "support/expect_error.h"
#include "support/synthetic_run.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

// Synthetic runs in one temporary folder, and the options that name them.
class Runs {
 public:
  void add(const SyntheticRun& run, const std::string& folder) {
    write_synthetic_run(run, temp_ / folder);
    options.folders.push_back(temp_ / folder);
  }
  std::string path(const std::string& folder) const { return temp_ / folder; }
  ReportData summarise() const { return nexus::summarise(options); }

  SummaryOptions options{
      .folders = {}, .baseline = "", .labels = {}, .target_ppl = {}, .target_loss = {}, .bootstrap = {.draws = 200}};

 private:
  TempFolder temp_;
};

// Loss = 2 + scale * C^-0.15: the compute to a given loss goes with scale^(1 / 0.15).
double true_saving(double scale, double baseline_scale) {
  return 1 - std::pow(scale / baseline_scale, 1 / 0.15);
}

TEST(Summary, FindsTheSavingThatTheFormulaGives) {
  Runs runs;
  runs.add(grown_run("nexus", "nexusformer", 380.0), "n");
  runs.add(grown_run("token", "tokenformer", 400.0), "t");
  const ReportData data = runs.summarise();
  EXPECT_EQ(data.baseline, 1u);
  ASSERT_TRUE(data.runs[0].saving);
  EXPECT_FALSE(data.runs[1].saving);
  // 0.002: straight lines between evaluations 20 steps apart instead of the curved formula.
  EXPECT_NEAR(data.runs[0].saving->saved, true_saving(380.0, 400.0), 0.002);
  EXPECT_LT(data.runs[0].saving->low, data.runs[0].saving->saved);
  EXPECT_GT(data.runs[0].saving->high, data.runs[0].saving->saved);
  EXPECT_THAT(data.warnings, IsEmpty());
}

TEST(Summary, ATargetOfTheUsersReplacesTheDefault) {
  Runs runs;
  runs.add(grown_run("nexus", "nexusformer", 380.0), "n");
  runs.add(grown_run("token", "tokenformer", 400.0), "t");
  runs.options.target_ppl = 50.0;
  EXPECT_NEAR(std::exp(runs.summarise().runs[0].saving->target_loss), 50.0, 1e-9);  // one log and one exp
}

TEST(Summary, ATargetMayBeALossOfAnyWorkload) {
  Runs runs;
  runs.add(run_of_points(grown_run("a", "nexusformer", 380.0)), "a");
  runs.add(run_of_points(grown_run("b", "transformer", 400.0)), "b");
  runs.options.target_loss = 4.0;
  const ReportData data = runs.summarise();
  EXPECT_EQ(data.runs[0].saving->target_loss, 4.0);
  EXPECT_THAT(comparison_table(data).definition, HasSubstr("p: 4, as asked."));
  runs.options.target_loss = 0.0;
  EXPECT_THAT(comparison_table(runs.summarise()).rows[0], ::testing::Contains("0")) << "a target like any other";
  runs.options.target_loss.reset();
  runs.options.target_ppl = 50.0;
  EXPECT_NEXUS_ERROR(runs.summarise(), ErrorKind::kConfig, HasSubstr("use --target-loss"));
}

TEST(Summary, ALossThatNoPerplexityHasIsNoTarget) {
  Runs runs;
  runs.add(grown_run("a", "nexusformer", 380.0), "a");
  runs.add(grown_run("b", "transformer", 400.0), "b");
  runs.options.target_loss = -0.5;
  EXPECT_NEXUS_ERROR(runs.summarise(), ErrorKind::kConfig, HasSubstr("--target-loss"));
}

TEST(Summary, RunsOfDifferentWorkloadsOrUnitsAreNotComparedAtAll) {
  Runs runs;
  runs.add(run_of_points(grown_run("a", "nexusformer", 380.0)), "a");
  SyntheticRun other = run_of_points(grown_run("b", "transformer", 400.0));
  other.words.loss_unit = "absolute error";
  runs.add(other, "b");
  EXPECT_NEXUS_ERROR(runs.summarise(), ErrorKind::kConfig,
                     AllOf(HasSubstr("points and measures squared error (point_sets)"),
                           HasSubstr("points and measures absolute error (point_sets)"), HasSubstr("do not compare")));
  write_synthetic_run(grown_run("b", "transformer", 400.0), runs.path("b"));
  EXPECT_NEXUS_ERROR(runs.summarise(), ErrorKind::kConfig, HasSubstr("tokens and measures nats/token (text)"));
}

TEST(Summary, WhatDiffersBetweenRunsIsSaidInTheWorkloadsWords) {
  Runs runs;
  runs.add(run_of_points(grown_run("a", "nexusformer", 380.0)), "a");
  SyntheticRun other = run_of_points(grown_run("b", "transformer", 400.0));
  other.valid_digest = "other";
  other.eval_tokens /= 2;
  runs.add(other, "b");
  const ReportData data = runs.summarise();
  EXPECT_EQ(data.runs[0].incomparable, "other validation points");
  EXPECT_THAT(data.warnings, Contains("a and b are evaluated on different validation points: their losses do not "
                                      "compare, no saving is computed"));
  EXPECT_THAT(data.warnings, Contains(HasSubstr("a is evaluated on 1048576 points, b on 524288")));
}

TEST(Summary, StagesCarryTheirAccountsAndTheirGrowth) {
  Runs runs;
  const SyntheticRun run = grown_run("nexus", "nexusformer", 380.0);
  runs.add(run, "n");
  const ReportData data = runs.summarise();
  ASSERT_EQ(data.runs[0].stages.size(), 2u);
  const StageSummary &first = data.runs[0].stages[0], &second = data.runs[0].stages[1];
  EXPECT_FALSE(first.growth);
  EXPECT_FALSE(first.before_growth);
  ASSERT_TRUE(second.growth);
  EXPECT_EQ(second.before_growth->loss, second.after_growth->loss);
  EXPECT_EQ(second.before_growth->loss, run.loss_at(first.flops));
  EXPECT_EQ(first.tokens, 100 * run.tokens_per_step);
  EXPECT_EQ(second.total_flops, first.flops + second.flops);
  EXPECT_EQ(data.runs[0].total_flops, second.total_flops);
  EXPECT_EQ(data.runs[0].rank_seconds, 400.0);
  EXPECT_FALSE(data.baseline);
}

TEST(Summary, InheritedComputeCounts) {
  Runs runs;
  SyntheticRun heir = grown_run("heir", "nexusformer", 380.0);
  heir.inherited_flops = 5e16;
  heir.inherited_tokens = 1000;
  runs.add(heir, "h");
  const RunSummary run = runs.summarise().runs[0];
  EXPECT_EQ(run.total_flops, 5e16 + run.stages[0].flops + run.stages[1].flops);
  EXPECT_EQ(run.curve.front().flops, 5e16);
}

TEST(Summary, WithoutAChoiceTheBaselineIsTokenformerThenTransformerThenTheLastRun) {
  Runs runs;
  runs.add(grown_run("a", "nexusformer", 400.0), "a");
  runs.add(grown_run("b", "nexusformer", 400.0), "b");
  EXPECT_EQ(runs.summarise().baseline, 1u);
  runs.add(grown_run("c", "transformer", 400.0), "c");
  runs.add(grown_run("d", "nexusformer", 400.0), "d");
  EXPECT_EQ(runs.summarise().baseline, 2u);
  runs.add(grown_run("e", "tokenformer", 400.0), "e");
  EXPECT_EQ(runs.summarise().baseline, 4u);
  runs.options.baseline = runs.path("a");
  EXPECT_EQ(runs.summarise().baseline, 0u);
}

TEST(Summary, DifferentFlopDefinitionsGiveAWarningAndNoSaving) {
  Runs runs;
  SyntheticRun other = grown_run("other", "nexusformer", 380.0);
  other.flops_def = "palm";
  runs.add(other, "o");
  runs.add(grown_run("token", "tokenformer", 400.0), "t");
  const ReportData data = runs.summarise();
  EXPECT_FALSE(data.runs[0].saving);
  EXPECT_EQ(data.runs[0].incomparable, "FLOP definitions differ");
  EXPECT_THAT(data.warnings, Contains(HasSubstr("palm")));
  const Table table = comparison_table(data);
  EXPECT_THAT(table.rows[0][5], HasSubstr(" by palm"));
  EXPECT_THAT(table.rows[1][5], HasSubstr(" by gemm_causal"));
}

TEST(Summary, ARunThatHasChangedItsFlopDefinitionInsideAStageIsComparedWithNone) {
  Runs runs;
  for (const char* name : {"mixed", "mixed too"}) {
    runs.add(grown_run(name, "nexusformer", 380.0), name);
    const RunFolder folder{runs.path(name)};
    std::string evals = read_text_file(folder.evals());
    const std::string from = "\"gemm_causal\"";
    evals.replace(evals.rfind(from), from.size(), "\"6n\"");
    write_file_durably(folder.evals(), evals);
  }
  const ReportData data = runs.summarise();
  EXPECT_EQ(data.runs[0].flops_def, "6n + gemm_causal");
  EXPECT_FALSE(data.runs[0].saving);
  EXPECT_THAT(data.warnings, Contains(HasSubstr("by several definitions")));
}

TEST(Summary, WarnsOfUnfinishedRuns) {
  Runs runs;
  SyntheticRun other = grown_run("other", "nexusformer", 380.0);
  other.done = false;
  runs.add(other, "o");
  EXPECT_THAT(runs.summarise().warnings, Contains(HasSubstr("not finished")));
}

// Two runs, the first of them changed.
ReportData changed(
    const std::function<void(SyntheticRun&)>& change,
    const std::function<void(SyntheticRun&)>& change_both = [](SyntheticRun&) {}) {
  Runs runs;
  SyntheticRun other = grown_run("other", "nexusformer", 380.0), token = grown_run("token", "tokenformer", 400.0);
  change_both(other);
  change_both(token);
  change(other);
  runs.add(other, "o");
  runs.add(token, "t");
  return runs.summarise();
}

void expect_no_saving(const ReportData& data, const std::string& brief, const std::string& warning) {
  EXPECT_FALSE(data.runs[0].saving);
  EXPECT_TRUE(data.runs[0].saving_curve.empty());
  EXPECT_EQ(data.runs[0].incomparable, brief);
  EXPECT_THAT(data.warnings, Contains(AllOf(HasSubstr(warning), HasSubstr("no saving is computed"))));
}

TEST(Summary, PerplexitiesOverOtherTokensGiveNoSavingHoweverManyTheyAre) {
  expect_no_saving(changed([](SyntheticRun& run) { run.valid_digest = run.tokenizer_digest = "other"; }),
                   "other tokenizer", "tokens of different tokenizers");
  expect_no_saving(changed([](SyntheticRun& run) { run.valid_digest = "other"; }), "other validation tokens",
                   "different validation tokens");
  expect_no_saving(changed([](SyntheticRun& run) {
                     run.valid_digest = "other";
                     run.tokenizer_digest = "";
                   }),
                   "other validation tokens", "different validation tokens");
}

TEST(Summary, TheSameBytesReadAsAnotherTypeGiveNoSaving) {
  const auto of = [](const char* type) { return [type](SyntheticRun& run) { run.valid_type = type; }; };
  expect_no_saving(changed(of("uint16"), of("int32")), "other validation tokens", "different validation tokens");
  for (const ReportData& data : {changed(of("uint16"), of("uint16")), changed(of("uint16"), of(""))}) {
    EXPECT_TRUE(data.runs[0].saving) << "the same, or not recorded";
    EXPECT_THAT(data.warnings, IsEmpty());
  }
}

TEST(Summary, OtherContextsOrWindowsGiveNoSaving) {
  expect_no_saving(changed([](SyntheticRun& run) { run.windows = 512; }), "other context", "contexts of 2048 tokens");
  expect_no_saving(changed([](SyntheticRun& run) {
                     run.windows /= 2;
                     run.eval_tokens /= 2;
                   }),
                   "other windows", "evaluated on 524288 tokens");
}

TEST(Summary, TheSameTokensCompareWhateverRowsTheVocabularyHasBeyondThem) {
  const ReportData data = changed([](SyntheticRun& run) { run.vocab = 32064; });
  EXPECT_TRUE(data.runs[0].saving);
  EXPECT_THAT(data.warnings, IsEmpty());
}

TEST(Summary, RunsOfAnOlderNexusAreComparedByVocabularyWithANote) {
  const auto forget = [](SyntheticRun& run) { run.valid_digest = run.tokenizer_digest = ""; };
  for (const ReportData& data : {changed(forget), changed(forget, forget)}) {
    EXPECT_TRUE(data.runs[0].saving);
    EXPECT_THAT(data.warnings, Contains(HasSubstr("did not record which tokens")));
  }
  expect_no_saving(changed([](SyntheticRun& run) { run.vocab = 50000; }, forget), "other vocabulary",
                   "vocabulary has 50000");
}

TEST(Summary, EvaluationsOverOtherTokensThanTheLastAreLeftOutOfTheCurve) {
  Runs runs;
  const SyntheticRun run = grown_run("run", "nexusformer", 380.0);
  runs.add(run, "r");
  const size_t all = runs.summarise().runs[0].curve.size();
  std::string evals = read_text_file(runs.path("r") + "/eval.jsonl");
  for (int row = 0; row < 4; ++row) {
    const size_t at = evals.find("\"valid\"");
    evals.replace(at, 7, "\"early\"");
  }
  write_file_durably(runs.path("r") + "/eval.jsonl", evals);
  const ReportData data = runs.summarise();
  EXPECT_EQ(data.runs[0].curve.size(), all - 3);  // the first of the four stands before the first step
  EXPECT_THAT(data.warnings, Contains(HasSubstr("4 evaluations are over other tokens")));
}

TEST(Summary, PerplexitiesOverOtherTokensThanTheLastAreMarkedInEveryTable) {
  Runs runs;
  runs.add(grown_run("run", "nexusformer", 380.0), "r");
  std::string evals = read_text_file(runs.path("r") + "/eval.jsonl");
  // Changed between the stages: the growth's two sides are over different tokens.
  const size_t end = evals.find("after_growth");
  for (size_t at = evals.find("\"valid\""); at < evals.rfind('\n', end); at = evals.find("\"valid\"", at))
    evals.replace(at, 7, "\"early\"");
  write_file_durably(runs.path("r") + "/eval.jsonl", evals);
  const ReportData data = runs.summarise();
  const StageSummary &first = data.runs[0].stages[0], &second = data.runs[0].stages[1];
  EXPECT_EQ(first.end->other, "other validation tokens");
  EXPECT_EQ(second.before_growth->other, "other validation tokens");
  EXPECT_EQ(second.after_growth->other, "");
  EXPECT_EQ(second.end->other, "");
  EXPECT_FALSE(second.growth_compares);
  const std::string mark = " (other validation tokens)";
  EXPECT_THAT(stage_table(data).rows[0].back(), HasSubstr(mark));
  EXPECT_THAT(stage_table(data).rows[1][9], HasSubstr(mark));
  EXPECT_THAT(growth_table(data).rows[0][9], HasSubstr(mark));
  EXPECT_THAT(to_csv(data), HasSubstr(",ppl_before_growth: other validation tokens\n"));
}

TEST(Summary, OneWindowGivesNoErrorAndNoInterval) {
  // As this nexus writes it, and as older ones did: a standard error of zero.
  for (const double written : {std::numeric_limits<double>::quiet_NaN(), 0.0}) {
    const ReportData data = changed([](SyntheticRun&) {},
                                    [written](SyntheticRun& run) {
                                      run.windows = 1;
                                      run.loss_se = written;
                                    });
    ASSERT_TRUE(data.runs[0].saving);
    EXPECT_NEAR(data.runs[0].saving->saved, true_saving(380.0, 400.0), 0.002);
    EXPECT_FALSE(data.runs[0].saving->has_interval());
    EXPECT_TRUE(std::isnan(data.runs[0].final_score->se));
    for (const Saving& saving : data.runs[0].saving_curve) EXPECT_FALSE(saving.has_interval());
  }
}

TEST(Summary, RunsOfOneNameAreToldApartAndLabelsWin) {
  Runs runs;
  runs.add(grown_run("same", "nexusformer", 380.0), "a");
  runs.add(grown_run("same", "nexusformer", 400.0), "b");
  runs.options.labels[runs.path("a")] = "mine";
  const ReportData data = runs.summarise();
  EXPECT_EQ(data.runs[0].label, "mine");
  EXPECT_THAT(data.runs[1].label, HasSubstr(runs.path("b")));
}

TEST(Summary, ImpossibleOptionsAreRefused) {
  Runs runs;
  EXPECT_NEXUS_ERROR(runs.summarise(), ErrorKind::kConfig, HasSubstr("no run"));
  runs.add(grown_run("a", "nexusformer", 400.0), "a");
  runs.options.target_ppl = 0.5;
  EXPECT_NEXUS_ERROR(runs.summarise(), ErrorKind::kConfig, HasSubstr("--target-ppl"));
  runs.options.target_loss = 3.0;
  runs.options.target_ppl = 20.0;
  EXPECT_NEXUS_ERROR(runs.summarise(), ErrorKind::kConfig, HasSubstr("given twice"));
  runs.options.target_ppl.reset();
  runs.options.target_loss = std::numeric_limits<double>::infinity();
  EXPECT_NEXUS_ERROR(runs.summarise(), ErrorKind::kConfig, HasSubstr("--target-loss"));
  runs.options.target_loss.reset();
  runs.options.labels["elsewhere"] = "x";
  EXPECT_NEXUS_ERROR(runs.summarise(), ErrorKind::kConfig, HasSubstr("elsewhere"));
}

}  // namespace
}  // namespace nexus
