// The step line and its record on hosts and on GPUs.
#include "train/run_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kRanks = 2;

struct Written {
  std::string line;
  nlohmann::json record;
};

Written write_step(const StepRecord& step) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  TrainState state;
  state.stages = {{"s0"}};
  ::testing::internal::CaptureStdout();
  RunRecords(run, true, "gemm_causal").step(state, step, kRanks, 0);
  Written written{::testing::internal::GetCapturedStdout(), nlohmann::json::parse(read_text_file(run.metrics()))};
  return written;
}

StepRecord step_of_two_ranks() {
  StepRecord step;
  step.steps = 100;
  step.step_ms = 1000;
  step.tok_per_s = 1000;
  step.mfu_pct = 50;
  return step;
}

TEST(StepLine, OfHostsCountsRanks) {
  const Written written = write_step(step_of_two_ranks());
  EXPECT_THAT(written.line,
              HasSubstr("| tok_per_s 1.00k per_rank 500 | mfu_pct 50.0 flops_def gemm_causal | data_pct"));
  EXPECT_FALSE(written.record.contains("mem_gib"));
}

TEST(StepLine, OfGpusCountsGpusAndTheirMemory) {
  StepRecord step = step_of_two_ranks();
  step.mem_gib = 1.5;
  const Written written = write_step(step);
  EXPECT_THAT(written.line,
              HasSubstr("| tok_per_s 1.00k per_gpu 500 | mfu_pct 50.0 flops_def gemm_causal | mem_gib 1.5 "
                        "| data_pct"));
  EXPECT_EQ(written.record["mem_gib"], 1.5);
}

// By a clock that passes as it likes, so that the machine's own, which people set, cannot matter.
TEST(StepLine, ComesEveryFewSecondsOfTheClockThatNobodySets) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  TrainState state;
  state.stages = {{"s0"}};
  StepRecord step = step_of_two_ranks();
  double now = 1e6;
  RunRecords records(run, true, "gemm_causal", [&] { return now; });
  const auto lines_of = [&](int64_t first, int64_t last, double seconds) {
    ::testing::internal::CaptureStdout();
    for (state.step = first; state.step <= last; ++state.step, now += seconds) records.step(state, step, kRanks, 0);
    const std::string lines = ::testing::internal::GetCapturedStdout();
    return std::count(lines.begin(), lines.end(), '\n');
  };
  EXPECT_EQ(lines_of(2, 11, 6), 10) << "also the first of a launch that begins at step 2";
  EXPECT_EQ(lines_of(12, 31, 1), 4);
  EXPECT_EQ(lines_of(32, 51, 0), 1);
}

Written write_eval(const EvalRecord& eval) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  TrainState state;
  state.stages = {{"s0"}};
  state.data = {{"t"}, {"uint16"}, "v", "int32", "tok"};
  ::testing::internal::CaptureStdout();
  RunRecords(run, true, "gemm_causal").eval(state, 10, eval);
  return {::testing::internal::GetCapturedStdout(), nlohmann::json::parse(read_text_file(run.evals()))};
}

// What metrics.jsonl has held from the first version on: scripts of users read it.
TEST(StepLine, HasTheRecordThatItAlwaysHad) {
  nlohmann::json record = write_step(step_of_two_ranks()).record;
  record.erase("time");
  EXPECT_EQ(record.dump(),
            R"({"data_ms":0.0,"flops":0.0,"generation":0,"grad_norm":0.0,"kind":"step","loss":0.0,"lr":0.0,)"
            R"("mfu_pct":50.0,"stage":"s0","stage_index":0,"step":0,"step_ms":1000.0,"steps":100,"tok_per_s":1000.0,)"
            R"("tokens":0})");
}

TEST(EvalLine, SaysWhatThePerplexityIsOver) {
  EvalRecord eval;
  eval.loss = 2;
  eval.loss_se = 0.25;
  eval.windows = 4;
  eval.eval_tokens = 128;
  const Written written = write_eval(eval);
  EXPECT_THAT(written.line, HasSubstr("loss 2.0000 se 0.2500 ppl 7.39"));
  EXPECT_EQ(written.record["valid_digest"], "v");
  EXPECT_EQ(written.record["valid_type"], "int32");
  EXPECT_EQ(written.record["tokenizer_digest"], "tok");
  EXPECT_EQ(written.record["context"], 32);
}

TEST(EvalLine, NamesEveryFurtherFigureWithItsUnitAndError) {
  EvalRecord eval;
  eval.loss = 2;
  eval.windows = 1;
  eval.figures = {{"late_loss", "nats/token", 1.875, 0.0625, 4}, {"hits", "", 12}};
  const Written written = write_eval(eval);
  EXPECT_THAT(written.line, HasSubstr("ppl 7.39 | late_loss 1.875 se 0.062 nats/token | hits 12 | tokens"));
  EXPECT_EQ(written.record["figures"].size(), 2u);
}

TEST(EvalLine, OfOneWindowHasNoStandardError) {
  EvalRecord eval;
  eval.loss = 2;
  eval.loss_se = std::numeric_limits<double>::quiet_NaN();
  eval.windows = 1;
  eval.eval_tokens = 32;
  const Written written = write_eval(eval);
  EXPECT_THAT(written.line, HasSubstr("loss 2.0000 ppl 7.39"));
  EXPECT_TRUE(written.record["loss_se"].is_null());
}

// Rank 0 was stopped for so long that the others ended the job and wrote STATUS; now it wakes.
TEST(Status, ThatTellsHowALaunchEndedIsNotTakenBackByTheSameLaunch) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  const LaunchMark mark{3, {"345", 1}};
  const std::string told =
      status_text({"nexus: error: no progress", LaunchEnd{ExitCode::kTransient, kReasonHang, ""}, mark});
  RunRecords records(run, true, "gemm_causal");
  records.set_launch(mark);
  records.status("running");
  EXPECT_EQ(read_text_file(run.status()), "running | generation 3 | job 345 restart 1\n");
  replace_file(run.status(), told);
  records.status("running");
  EXPECT_EQ(read_text_file(run.status()), told);
  records.set_launch({4, {"345", 2}});
  records.status("running");
  EXPECT_EQ(read_text_file(run.status()), "running | generation 4 | job 345 restart 2\n");
  records.status("done", LaunchEnd{ExitCode::kDone, kReasonDone, ""});
  EXPECT_EQ(read_text_file(run.status()), "done | reason done | exit 0 | generation 4 | job 345 restart 2\n");
}

}  // namespace
}  // namespace nexus
