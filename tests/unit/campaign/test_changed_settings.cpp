#include <gtest/gtest.h>

#include "campaign/changed_settings.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kStepTokens = 100, kSteps = 10;

const ClassOfKey kClasses = [](const std::string& key) -> std::optional<KeyClass> {
  if (key.ends_with(".path")) return KeyClass::kPlacement;
  if (key.starts_with("optimizer.") || key.starts_with("stages.") || key == "precision.compute")
    return key.ends_with(".M") ? KeyClass::kFixed : KeyClass::kSchedule;
  return key == "vanished" ? std::nullopt : std::optional(KeyClass::kFixed);
};

// A campaign of three stages, and a run that stands in its second one.
struct BegunRun {
  CampaignSpec spec;
  std::vector<StageNumerics> now;
  TrainState state;

  explicit BegunRun(int64_t step) {
    spec.out = "runs/x";
    spec.batch.global_tokens = kStepTokens;
    spec.stages.resize(3);
    for (int i = 0; i < 3; ++i) {
      spec.stages[static_cast<size_t>(i)].tokens = kSteps * kStepTokens;
      now.push_back({{"model.D", "64"},
                     {"batch.global_tokens", "100"},
                     {"optimizer.clip", "1"},
                     {"precision.compute", "f32"},
                     {fmt::format("stages.{}.lr.peak", i), "0.001"},
                     {fmt::format("stages.{}.lr.warmup", i), "2 steps"},
                     {fmt::format("stages.{}.tokens", i), "1000"},
                     {fmt::format("stages.{}.grow.M", i), "96"}});
    }
    state.stage_index = 1;
    state.step = step;
    state.stages = {{"s0", 1000}, {"s1", step * kStepTokens}};
    state.stage_numerics = {now[0], now[1]};
    state.flops_def = "gemm_causal";
  }

  void set(size_t stage, const std::string& key, const std::string& value) { now[stage][key] = value; }
  void set_everywhere(const std::string& key, const std::string& value) {
    for (StageNumerics& stage : now) stage[key] = value;
  }
  void set_tokens(size_t stage, int64_t tokens) {
    spec.stages[stage].tokens = tokens;
    set(stage, fmt::format("stages.{}.tokens", stage), fmt::format("{}", tokens));
  }
  CurrentSettings settings() const { return {spec, now, kClasses}; }
  void expect_allowed(const std::string& key) {
    EXPECT_NEXUS_ERROR(require_allowed_changes(settings(), state, {}), ErrorKind::kConfig,
                       HasSubstr("--allow-schedule-change " + key));
    const auto changes = require_allowed_changes(settings(), state, {key});
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(changes[0].key, key);
  }
  // With and without permission.
  template <typename Matcher>
  void expect_refused(const std::string& key, const Matcher& matcher) {
    for (const std::vector<std::string>& allowed : {std::vector<std::string>{}, {key}})
      EXPECT_NEXUS_ERROR(require_allowed_changes(settings(), state, allowed), ErrorKind::kConfig,
                         AllOf(matcher, Not(HasSubstr("--allow-schedule-change"))));
  }
};

TEST(ChangedSettings, AreNoneWhereThePastIsAsItWas) {
  BegunRun run(3);
  run.set(2, "stages.2.lr.peak", "anything in the future");
  EXPECT_TRUE(changed_settings(run.settings(), run.state).empty());
}

TEST(ChangedSettings, OfTheRunningStageNeedPermissionAndAreRecordedOnce) {
  BegunRun run(3);
  run.set(1, "stages.1.lr.peak", "0.002");
  run.expect_allowed("stages.1.lr.peak");
  EXPECT_EQ(changed_settings(run.settings(), run.state)[0].text, "s1: stages.1.lr.peak was 0.001, is 0.002");
  adopt_settings(run.settings(), run.state);
  EXPECT_TRUE(changed_settings(run.settings(), run.state).empty());
}

TEST(ChangedSettings, ThatAllStagesShareLeaveTheRecordOfFinishedStagesAsItWas) {
  BegunRun run(3);
  run.set_everywhere("optimizer.clip", "0.5");
  run.expect_allowed("optimizer.clip");
  adopt_settings(run.settings(), run.state);
  EXPECT_EQ(run.state.stage_numerics[0].at("optimizer.clip"), "1");
  EXPECT_EQ(run.state.stage_numerics[1].at("optimizer.clip"), "0.5");
  EXPECT_TRUE(changed_settings(run.settings(), run.state).empty());
}

TEST(ChangedSettings, BetweenTwoStagesHoldFromTheNextOneOn) {
  BegunRun run(kSteps);
  run.set_everywhere("optimizer.clip", "0.5");
  run.expect_allowed("optimizer.clip");
  adopt_settings(run.settings(), run.state);
  EXPECT_EQ(run.state.stage_numerics[1].at("optimizer.clip"), "1");
}

TEST(ChangedSettings, OfAFinishedStageAreRefused) {
  BegunRun run(kSteps);
  run.set(1, "stages.1.lr.peak", "0.002");
  run.expect_refused("stages.1.lr.peak", HasSubstr("stage s1 is finished"));
  BegunRun past(3);
  past.set(0, "stages.0.lr.peak", "0.002");
  past.expect_refused("stages.0.lr.peak", HasSubstr("stage s0 is finished"));
  BegunRun over(kSteps);
  over.spec.stages.resize(2);
  over.now.resize(2);
  over.set_everywhere("optimizer.clip", "0.5");
  over.expect_refused("optimizer.clip", HasSubstr("no step is left"));
}

TEST(ChangedSettings, LengthenAStageThatIsRunningOrHasJustEnded) {
  for (const int64_t step : {int64_t{3}, kSteps}) {
    BegunRun run(step);
    run.set_tokens(1, 1500);
    run.expect_allowed("stages.1.tokens");
    adopt_settings(run.settings(), run.state);
    EXPECT_EQ(run.state.stage_numerics[1].at("stages.1.tokens"), "1500");
  }
}

TEST(ChangedSettings, ShortenAStageOnlyToMoreThanIsDone) {
  BegunRun run(3);
  run.set_tokens(1, 301);
  run.expect_allowed("stages.1.tokens");
  run.set_tokens(1, 300);
  run.expect_refused("stages.1.tokens", HasSubstr("300 tokens of it are trained"));
}

TEST(ChangedSettings, OfTheModelAndTheBatchAreRefusedWithWhatToDoInstead) {
  BegunRun run(3);
  run.set_everywhere("model.D", "65");
  run.expect_refused("model.D", AllOf(HasSubstr("s1: model.D was 64, is 65"), HasSubstr("grow its widths")));
  BegunRun batch(3);
  batch.set_everywhere("batch.global_tokens", "200");
  batch.expect_refused("batch.global_tokens", HasSubstr("init_from"));
  BegunRun growth(3);
  growth.set(1, "stages.1.grow.M", "112");
  growth.expect_refused("stages.1.grow.M", HasSubstr("append a stage"));
  BegunRun unknown(3);
  unknown.state.stage_numerics[1]["vanished"] = "1";
  unknown.expect_refused("vanished", HasSubstr("vanished was 1, is absent"));
}

TEST(ChangedSettings, RefuseAWarmUpThatWouldBeOver) {
  BegunRun run(3);
  run.spec.stages[1].lr.warmup = {Span::Unit::kSteps, 3};
  run.set(1, "stages.1.lr.warmup", "3 steps");
  run.expect_refused("stages.1.lr.warmup", HasSubstr("is over at step 3"));
  run.spec.stages[1].lr.warmup = {Span::Unit::kSteps, 4};
  run.set(1, "stages.1.lr.warmup", "4 steps");
  run.expect_allowed("stages.1.lr.warmup");
}

TEST(ChangedSettings, OfTheScheduleBringItsOtherKeysWithThem) {
  BegunRun run(3);
  run.state.stage_numerics[1]["stages.1.lr.schedule"] = "cosine";
  run.state.stage_numerics[1]["stages.1.lr.min"] = "0";
  run.set(1, "stages.1.lr.schedule", "constant");
  EXPECT_NEXUS_ERROR(require_allowed_changes(run.settings(), run.state, {}), ErrorKind::kConfig,
                     AllOf(HasSubstr("lr.min was 0, is absent"), Not(HasSubstr("change stages.1.lr.min"))));
  EXPECT_EQ(require_allowed_changes(run.settings(), run.state, {"stages.1.lr.schedule"}).size(), 2u);
}

TEST(ChangedSettings, RefuseAnotherTypeOfWeights) {
  BegunRun run(3);
  run.set_everywhere("precision.compute", "f64");
  run.expect_refused("precision.compute", HasSubstr("of another type"));
  run.set_everywhere("precision.compute", "bf16");
  run.expect_allowed("precision.compute");
}

TEST(ChangedSettings, RefuseAnotherDefinitionOfFlops) {
  BegunRun run(3);
  run.spec.account.flops_def = "6n";
  run.expect_refused("account.flops_def", HasSubstr("account.flops_def was gemm_causal, is 6n"));
  run.state.flops_def.clear();  // an older nexus did not record it
  EXPECT_TRUE(changed_settings(run.settings(), run.state).empty());
}

TEST(ChangedSettings, IgnoreWhatAnOlderNexusRecordedOfOtherClasses) {
  BegunRun run(3);
  run.state.stage_numerics[1]["data.train.0.path"] = "somewhere";
  EXPECT_TRUE(changed_settings(run.settings(), run.state).empty());
}

TEST(ChangedSettings, NameAStageThatIsGone) {
  BegunRun run(3);
  run.spec.stages.resize(1);
  run.now.resize(1);
  run.expect_refused("stages", HasSubstr("stage s1 is gone"));
}

TEST(ChangedSettings, NameEveryKeyOfOneLaunchWithItsCure) {
  BegunRun run(3);
  run.set_everywhere("model.D", "65");
  run.set_everywhere("optimizer.clip", "0.5");
  run.set(1, "stages.1.lr.peak", "0.002");
  EXPECT_NEXUS_ERROR(require_allowed_changes(run.settings(), run.state, {"stages.1.lr.peak"}), ErrorKind::kConfig,
                     AllOf(HasSubstr("model.D: no option"), HasSubstr("with --allow-schedule-change optimizer.clip"),
                           Not(HasSubstr("lr.peak"))));
}

}  // namespace
}  // namespace nexus
