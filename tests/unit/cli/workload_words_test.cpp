// What is written of another workload than text names that workload's unit and figures, and neither tokens nor
// perplexity. Reports: tests/unit/report.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/bench_report.h"
#include "core/files.h"
#include "plan/cluster_plan.h"
#include "plan/plan.h"
#include "slurm/status.h"
#include "support/temp_folder.h"
#include "train/run_records.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

MATCHER(SpeaksOfText, "") {
  for (const char* word : {"token", "TOKEN", "tok/", "tok_", "/tok", "perplexity", "ppl", "nats"})
    if (arg.find(word) != std::string::npos) return true;
  return false;
}

CampaignSpec campaign_of_points() {
  CampaignSpec spec;
  spec.name = "cloud";
  spec.model.workload = "point_sets";
  spec.model.d = 64;
  spec.model.layers = 2;
  spec.model.heads = 4;
  for (const char* width : {"M", "A", "F"}) spec.model.counts[width] = 96;
  spec.data.context = 16;
  spec.batch = {128, 4};
  spec.stages.resize(1);
  spec.stages[0].name = "s0";
  spec.stages[0].tokens = 1280;
  return spec;
}

// RunRecords in a folder of their own, and what they print.
class RecordsOfPoints : public ::testing::Test {
 protected:
  RecordsOfPoints() {
    state_.model = campaign_of_points().model;
    state_.stages = {{"s0"}};
  }
  template <typename Call>
  std::string printed(const Call& call) {
    ::testing::internal::CaptureStdout();
    call(records_);
    return ::testing::internal::GetCapturedStdout();
  }
  TempFolder folder_;
  RunFolder run_{folder_.path()};
  RunRecords records_{run_, true, "gemm"};
  TrainState state_;
};

TEST_F(RecordsOfPoints, AStepCountsPointsAndItsLossHasFourDigits) {
  StepRecord step;
  step.steps = 10;
  step.loss = 1.25e-5;
  step.tok_per_s = 2000;
  const std::string line = printed([&](RunRecords& records) { records.step(state_, step, 2, 0); });
  EXPECT_THAT(line, AllOf(HasSubstr("| points 0 | loss 1.25e-05 |"), HasSubstr("| point_per_s 2.00k per_rank 1.00k |"),
                          Not(SpeaksOfText())));
  EXPECT_THAT(read_text_file(run_.status()), HasSubstr("running stage s0 step 0 of 10 loss 1.25e-05"));
  EXPECT_EQ(nlohmann::json::parse(read_text_file(run_.metrics())).count("tokens"), 1u) << "keys stay as they are";
}

TEST_F(RecordsOfPoints, AnEvaluationHasALossWithItsUnitAndItsFigures) {
  EvalRecord eval;
  eval.loss = 0.5;
  eval.loss_se = 0.125;
  eval.windows = 4;
  eval.eval_tokens = 64;
  eval.figures = {{"r2", "", 0.75}};
  const std::string line = printed([&](RunRecords& records) { records.eval(state_, 10, eval); });
  EXPECT_THAT(line, AllOf(HasSubstr("loss 0.5 se 0.125 squared error | r2 0.75 | points 64 |"), Not(SpeaksOfText())));
  const auto record = nlohmann::json::parse(read_text_file(run_.evals()));
  EXPECT_FALSE(record.contains("ppl"));
  EXPECT_EQ(record["loss"], 0.5);
}

TEST_F(RecordsOfPoints, StagesAndResumesCountPoints) {
  EXPECT_THAT(printed([&](RunRecords& records) { records.stage(state_, 1000, 6000, 1280, 10, 1); }),
              AllOf(HasSubstr("| steps 10 points 1.28k | flops_per_point 6000 "), Not(SpeaksOfText())));
  EXPECT_THAT(printed([&](RunRecords& records) { records.resume(state_, 10, run_.root + "/checkpoints/s0/1"); }),
              AllOf(HasSubstr("| points 0 |"), Not(SpeaksOfText())));
}

TEST(WorkloadWordsOf, PlansCountPoints) {
  const CampaignSpec spec = campaign_of_points();
  const Forecast forecast = make_forecast(spec, 1);
  EXPECT_THAT(forecast_text(forecast), AllOf(HasSubstr(" global_points 128\n"),
                                             HasSubstr("  points    steps GFLOP/point "), Not(SpeaksOfText())));
  EXPECT_EQ(forecast_json(forecast)["unit"], "points");
  ClusterSpec cluster;
  cluster.tasks_per_node = 1;
  EXPECT_THAT(cluster_plan_text(plan_on_cluster(spec, cluster, forecast, {{1000}, {}, {}})),
              AllOf(HasSubstr(" point/s "), Not(SpeaksOfText())));
  try {
    plan_on_cluster(spec, cluster, forecast, {{-1}, {}, {}});
    ADD_FAILURE() << "a rate below 0";
  } catch (const Error& error) {
    EXPECT_EQ(error.todo(), "give points per second of the whole job");
  }
}

TEST(WorkloadWordsOf, StatusCountsPoints) {
  const TempFolder folder;
  const RunView view = view_run(campaign_of_points(), folder.path(), {});
  EXPECT_THAT(run_text(view), AllOf(HasSubstr("COMMITTED  POINTS\n"), Not(SpeaksOfText())));
  EXPECT_EQ(run_json(view)["unit"], "points");
}

TEST(WorkloadWordsOf, BenchesCountPoints) {
  BenchReport report;
  report.spec = campaign_of_points();
  report.spec.account.peak_tflops = 1;
  StepRun run;
  run.micro = 4;
  run.accumulation = 2;
  run.seconds = {0.5};
  run.tokens = 128;
  report.runs = {run, run};
  report.chosen = 0;
  EXPECT_THAT(bench_text(report),
              AllOf(HasSubstr("step     128 points in context 16"), HasSubstr(" point/s "), HasSubstr("256 point/s |"),
                    HasSubstr(" x points per second and rank"), Not(SpeaksOfText())));
  EXPECT_EQ(bench_json(report)["unit"], "points");
}

}  // namespace
}  // namespace nexus
