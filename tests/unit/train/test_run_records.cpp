// The step line and its record on hosts and on GPUs.
#include "train/run_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/files.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

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
  RunRecords(run, true, "gemm_causal").step(state, step);
  Written written{::testing::internal::GetCapturedStdout(), nlohmann::json::parse(read_text_file(run.metrics()))};
  return written;
}

StepRecord two_ranks() {
  StepRecord step;
  step.step = step.steps = 1;
  step.seconds = 1;
  step.tokens_per_second = 1000;
  step.ranks = 2;
  step.mfu = 0.5;
  step.flops_def = "gemm_causal";
  return step;
}

TEST(StepLine, OfHostsCountsRanks) {
  const Written written = write_step(two_ranks());
  EXPECT_THAT(written.line,
              HasSubstr("| tok_per_s 1.00k per_rank 500 | mfu_pct 50.0 flops_def gemm_causal | data_pct"));
  EXPECT_FALSE(written.record.contains("mem_gib"));
}

TEST(StepLine, OfGpusCountsGpusAndTheirMemory) {
  StepRecord step = two_ranks();
  step.device_bytes = int64_t{3} << 29;
  const Written written = write_step(step);
  EXPECT_THAT(written.line,
              HasSubstr("| tok_per_s 1.00k per_gpu 500 | mfu_pct 50.0 flops_def gemm_causal | mem_gib 1.5 "
                        "| data_pct"));
  EXPECT_EQ(written.record["mem_gib"], 1.5);
}

// Rank 0 was stopped for so long that the others ended the job and wrote STATUS; now it wakes.
TEST(Status, ThatTellsHowALaunchEndedIsNotTakenBackByTheSameLaunch) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  const LaunchMark mark{3, "345", 1};
  const std::string told = "nexus: error: no progress" + mark.status_groups(74) + "\n";
  RunRecords records(run, true, "gemm_causal");
  records.set_launch(mark);
  records.status("running");
  EXPECT_EQ(read_text_file(run.status()), "running | generation 3 | job 345 restart 1\n");
  replace_file(run.status(), told);
  records.status("running");
  EXPECT_EQ(read_text_file(run.status()), told);
  records.set_launch({4, "345", 2});
  records.status("running");
  EXPECT_EQ(read_text_file(run.status()), "running | generation 4 | job 345 restart 2\n");
  records.status("done", 0);
  EXPECT_EQ(read_text_file(run.status()), "done | exit 0 | generation 4 | job 345 restart 2\n");
}

}  // namespace
}  // namespace nexus
