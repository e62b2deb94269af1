#include <gtest/gtest.h>

#include "campaign/next_action.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

CampaignSpec spec_of(size_t stages) {
  CampaignSpec spec;
  spec.batch.global_tokens = 100;
  spec.stages.resize(stages);
  for (StageSpec& stage : spec.stages) stage.tokens = 1000;
  return spec;
}

TrainState state_at(int64_t stage, int64_t step) {
  TrainState state;
  state.stage_index = stage;
  state.step = step;
  for (int64_t i = 0; i <= stage; ++i) state.stages.push_back({"s" + std::to_string(i)});
  return state;
}

TEST(NextAction, WalksThroughACampaign) {
  const CampaignSpec spec = spec_of(2);
  using Kind = NextAction::Kind;
  EXPECT_EQ(next_action(spec, std::nullopt).kind, Kind::kStart);
  EXPECT_EQ(next_action(spec, state_at(0, 0)).kind, Kind::kTrain);
  EXPECT_EQ(next_action(spec, state_at(0, 9)).kind, Kind::kTrain);
  const NextAction enter = next_action(spec, state_at(0, 10));
  EXPECT_EQ(enter.kind, Kind::kEnterStage);
  EXPECT_EQ(enter.stage, 1u);
  EXPECT_EQ(next_action(spec, state_at(1, 3)).stage, 1u);
  EXPECT_EQ(next_action(spec, state_at(1, 10)).kind, Kind::kDone);
}

TEST(NextAction, AnAppendedStageReopensAFinishedCampaign) {
  EXPECT_EQ(next_action(spec_of(3), state_at(1, 10)).kind, NextAction::Kind::kEnterStage);
}

TEST(NextAction, AnEvaluationThatWasPutOffComesBeforeTheNextStage) {
  TrainState state = state_at(0, 10);
  state.eval_pending = true;
  EXPECT_EQ(next_action(spec_of(2), state).kind, NextAction::Kind::kTrain);
  EXPECT_EQ(next_action(spec_of(2), state).stage, 0u);
}

TEST(NextAction, RefusesACampaignThatLostTheStageTheRunStandsIn) {
  EXPECT_NEXUS_ERROR(next_action(spec_of(1), state_at(1, 3)), ErrorKind::kConfig,
                     ::testing::HasSubstr("only 1 stages"));
}

}  // namespace
}  // namespace nexus
