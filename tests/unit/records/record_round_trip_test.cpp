// Every record comes back as it was written, and files of an older nexus, which say less, are read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/json_text.h"
#include "records/eval_record.h"
#include "records/lease_record.h"
#include "records/ledger_record.h"
#include "records/step_record.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;

template <typename Record>
Record at_step(int64_t step) {
  Record record;
  record.stage = "s1";
  record.stage_index = 1;
  record.step = step;
  return record;
}

// As a file has it.
template <typename Record>
JsonRecord written(const Record& record) {
  return {nlohmann::json::parse(json_text(to_json(record))), "file:1"};
}
JsonRecord line(const char* text) {
  return {nlohmann::json::parse(text), "file:1"};
}

TEST(RoundTrip, OfAStep) {
  auto step = at_step<StepRecord>(5);
  step.steps = 9;
  step.tokens = int64_t{1} << 40;
  step.flops = 1e21;
  step.loss = 2.25;
  step.lr = 3e-4;
  step.grad_norm = std::numeric_limits<double>::quiet_NaN();
  step.step_ms = 12.5;
  step.data_ms = 0.5;
  step.tok_per_s = 1000;
  step.mfu_pct = 41.5;
  step.updated = false;
  const StepRecord read = step_from_json(written(step));
  EXPECT_EQ(read.stage, "s1");
  EXPECT_EQ(read.step, 5);
  EXPECT_TRUE(std::isnan(read.grad_norm)) << "null in the file";
  EXPECT_EQ(read.mfu_pct, 41.5);
  EXPECT_FALSE(read.mem_gib);
  EXPECT_FALSE(read.updated);
  EXPECT_EQ(to_json(read).dump(), to_json(step).dump());
  EXPECT_EQ(step_seconds(written(step)), 0.0125);
  EXPECT_EQ(step_seconds(line(R"({"kind":"step"})")), std::nullopt);
}

TEST(RoundTrip, OfAnEvaluation) {
  auto eval = at_step<EvalRecord>(5);
  eval.event = "periodic";
  eval.flops_def = "6n";
  eval.loss = 2;
  eval.loss_se = 0.25;
  eval.windows = 4;
  eval.eval_tokens = 128;
  eval.valid_digest = "v";
  const EvalRecord read = eval_from_json(written(eval));
  EXPECT_EQ(read.context(), 32);
  EXPECT_FALSE(read.bits_per_byte);
  EXPECT_TRUE(to_json(eval)["bits_per_byte"].is_null());
  EXPECT_EQ(to_json(eval)["context"], 32);
  EXPECT_FALSE(to_json(eval).contains("tokenizer_digest"));
  EXPECT_EQ(to_json(read).dump(), to_json(eval).dump());
}

TEST(RoundTrip, OfTheLossesOfWindowsHasSevenDigits) {
  auto eval = at_step<EvalRecord>(5);
  EXPECT_FALSE(to_json(eval).contains("window_losses")) << "the line is as it always was";
  eval.window_losses = {3.14159265358979, 0, 1e-9 / 3};
  EXPECT_EQ(to_json(eval)["window_losses"].dump(), "[3.141593,0.0,3.333333e-10]");
  const EvalRecord read = eval_from_json(written(eval));
  EXPECT_EQ(read.window_losses, (std::vector<double>{3.141593, 0, 3.333333e-10}));
  for (const char* wrong : {"7", R"(["many"])", "[null]"}) {
    nlohmann::json record = to_json(at_step<EvalRecord>(5));
    record["window_losses"] = nlohmann::json::parse(wrong);
    EXPECT_THROW(eval_from_json({record, "eval.jsonl:3"}), Error) << wrong;
  }
}

TEST(RoundTrip, OfFurtherFiguresOfAnEvaluation) {
  auto eval = at_step<EvalRecord>(5);
  eval.add({"late_loss", "nats/token", 1.5, 0.125, 4});
  eval.add({kLossFigure, "nats/token", 2, 0.25, 4});
  eval.add({"parameters_used", "", 7});
  EXPECT_EQ(eval.loss, 2);
  EXPECT_EQ(eval.windows, 4);
  const EvalRecord read = eval_from_json(written(eval));
  EXPECT_EQ(to_json(read).dump(), to_json(eval).dump());
  ASSERT_EQ(read.figures.size(), 2u);
  ASSERT_NE(read.find("late_loss"), nullptr);
  EXPECT_EQ(read.find("late_loss")->unit, "nats/token");
  EXPECT_EQ(read.find("late_loss")->se, 0.125);
  EXPECT_TRUE(std::isnan(read.find("parameters_used")->se));
  EXPECT_EQ(read.find("loss"), nullptr) << "it has a field of its own";
  EXPECT_FALSE(to_json(at_step<EvalRecord>(5)).contains("figures")) << "the line is as it always was";
}

TEST(RoundTrip, OfFiguresThatAreNoneIsRefused) {
  for (const char* figures : {R"("many")", R"([{"name":"a"}])", R"([1])"}) {
    nlohmann::json record = to_json(at_step<EvalRecord>(5));
    record["figures"] = nlohmann::json::parse(figures);
    EXPECT_THROW(eval_from_json({record, "eval.jsonl:3"}), Error) << figures;
  }
}

TEST(RoundTrip, OfWhatTheLedgerTells) {
  auto stage = at_step<StageRecord>(0);
  stage.arch = "nexusformer";
  stage.params = 100;
  stage.model = {{"V", 50}};
  EXPECT_EQ(to_json(stage_from_json(written(stage))).dump(), to_json(stage).dump());
  auto growth = at_step<GrowthRecord>(0);
  growth.from_stage = "s0";
  growth.unmoved_new_params = 3;
  growth.dead_blocks = {"layers.0"};
  EXPECT_EQ(to_json(growth_from_json(written(growth))).dump(), to_json(growth).dump());
  auto commit = at_step<CommitRecord>(7);
  commit.total_tokens = 5;
  commit.stage_seconds = 1.5;
  commit.path = "checkpoints/s1/0000007";
  EXPECT_EQ(to_json(commit_from_json(written(commit))).dump(), to_json(commit).dump());
}

// Users' scripts read these: keys and values stay as they are.
TEST(RoundTrip, WhatLaunchesSayIsAsItAlwaysWas) {
  const RecordPlace place{"s0", 0, 3};
  EXPECT_EQ(begin_record({"345", 2}).dump(), R"({"job":"345","kind":"begin","restart":2})");
  EXPECT_EQ(resume_record(place, {}).dump(),
            R"({"job":"","kind":"resume","restart":0,"stage":"s0","stage_index":0,"step":3})");
  EXPECT_EQ(done_record(place).dump(), R"({"kind":"done","stage":"s0","stage_index":0,"step":3})");
  EXPECT_EQ(change_record(place, "lr", "lr is 1").dump(),
            R"({"change":"lr is 1","key":"lr","kind":"change","stage":"s0","stage_index":0,"step":3})");
  EXPECT_EQ(spent_record(place, {{"gpu_hours", 2}}).dump(),
            R"({"gpu_hours":2,"kind":"spent","stage":"s0","stage_index":0,"step":3})");
}

TEST(RoundTrip, OfALease) {
  LeaseRecord lease;
  lease.generation = 12;
  lease.host = "n1";
  lease.machine = "boot pid:[1]";
  lease.pid = 7;
  lease.job = {"345", 1};
  lease.seconds = 1.5;
  EXPECT_FALSE(to_json(lease).contains("exit")) << "it goes on: the file is as it always was";
  EXPECT_FALSE(lease_from_json(written(lease)).end);
  lease.end = LaunchEnd{ExitCode::kHardware, "device", "n2"};
  const LeaseRecord read = lease_from_json(written(lease));
  EXPECT_EQ(read.job.id, "345");
  EXPECT_EQ(read.end.value().exit, ExitCode::kHardware);
  EXPECT_EQ(read.end->reason, "device");
  EXPECT_EQ(read.end->suspect_node, "n2");
  EXPECT_EQ(to_json(read).dump(), to_json(lease).dump());
}

// --- files of an older nexus

TEST(OlderFiles, SayNothingOfWhatCameLater) {
  const StepRecord step = step_from_json(
      line(R"({"kind":"step","stage":"s0","stage_index":0,"step":1,"tokens":2,"flops":3,"loss":4,"lr":5,"grad_norm":6,
              "step_ms":7,"tok_per_s":8})"));
  EXPECT_EQ(step.tok_per_s, 8);
  EXPECT_TRUE(step.updated);
  const EvalRecord eval = eval_from_json(
      line(R"({"kind":"eval","stage":"s0","stage_index":0,"step":1,"steps":2,"tokens":2,"flops":3,"flops_def":"6n",
              "event":"end","loss":4,"loss_se":0,"windows":1,"eval_tokens":32,"bits_per_byte":null})"));
  EXPECT_TRUE(std::isnan(eval.loss_se)) << "one window has no standard error, though 0 was written";
  EXPECT_EQ(eval.valid_digest, "");
  const StageRecord stage = stage_from_json(
      line(R"({"kind":"stage","stage":"s0","stage_index":0,"arch":"nexusformer","params":1,"flops_per_token":2,
              "flops_def":"6n","tokens_planned":3,"steps":4,"ranks":2})"));
  EXPECT_TRUE(stage.model.is_object());
  const LeaseRecord lease = lease_from_json(
      line(R"({"generation":1,"host":"far","machine":"m","pid":1,"start_ticks":-1,"job":"345","restart":0,"ranks":4,
              "nodes":2,"seconds":3600,"commit":7,"renewals":1,"released":false,"save_seconds":12})"));
  EXPECT_EQ(lease.commits, 0);
  EXPECT_EQ(lease.found, 7);
  EXPECT_FALSE(lease.end);
}

TEST(OlderFiles, ThatLackWhatEveryOneHasAreRefused) {
  EXPECT_NEXUS_ERROR(commit_from_json(line(R"({"kind":"commit","stage":"s0","stage_index":0})")), ErrorKind::kData,
                     HasSubstr("'step': it is missing; file:1"));
  EXPECT_NEXUS_ERROR(lease_from_json(line("[1]")), ErrorKind::kData, HasSubstr("'host'"));
  nlohmann::json lease = to_json(LeaseRecord{});
  lease["seconds"] = nullptr;
  EXPECT_NEXUS_ERROR(lease_from_json({lease, "x"}), ErrorKind::kData, HasSubstr("seconds"));
}

}  // namespace
}  // namespace nexus
