#include "report/summary.h"

#include <gmock/gmock.h>

#include <cmath>

#include "core/files.h"
#include "core/run_folder.h"
#include "report/tables.h"
#include "support/expect_error.h"
#include "support/synthetic_run.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

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

  SummaryOptions options{.folders = {}, .baseline = "", .labels = {}, .target_ppl = {}, .bootstrap = {.draws = 200}};

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

TEST(Summary, WarnsOfEvaluationsThatMayNotCompareAndOfUnfinishedRuns) {
  Runs runs;
  SyntheticRun other = grown_run("other", "nexusformer", 380.0);
  other.eval_tokens = 4096;
  other.vocab = 50000;
  other.done = false;
  runs.add(other, "o");
  runs.add(grown_run("token", "tokenformer", 400.0), "t");
  const ReportData data = runs.summarise();
  EXPECT_THAT(data.warnings, Contains(HasSubstr("4096 tokens")));
  EXPECT_THAT(data.warnings, Contains(HasSubstr("vocabulary has 50000")));
  EXPECT_THAT(data.warnings, Contains(HasSubstr("not finished")));
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
  runs.options.target_ppl.reset();
  runs.options.labels["elsewhere"] = "x";
  EXPECT_NEXUS_ERROR(runs.summarise(), ErrorKind::kConfig, HasSubstr("elsewhere"));
}

}  // namespace
}  // namespace nexus
