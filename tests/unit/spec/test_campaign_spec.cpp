#include <gtest/gtest.h>

#include "spec/campaign_spec.h"

namespace nexus {
namespace {

CampaignSpec two_stages() {
  CampaignSpec spec;
  spec.model.d = 64;
  spec.model.heads = 4;
  spec.model.counts["M"] = 96;
  spec.model.counts["A"] = 128;
  spec.batch.global_tokens = 1000;
  spec.stages.resize(2);
  spec.stages[0].tokens = 10001;
  spec.stages[1].tokens = 300000;
  spec.stages[1].grow.widths = {{"M", 112}};
  return spec;
}

TEST(CampaignSpec, StepsAreTokensRoundedUp) {
  EXPECT_EQ(two_stages().steps_of_stage(0), 11);
  EXPECT_EQ(two_stages().steps_of_stage(1), 300);
}

TEST(CampaignSpec, GrowthChangesTheModelOfItsStageAndLaterOnes) {
  EXPECT_EQ(two_stages().model_of_stage(0).count("M"), 96);
  EXPECT_EQ(two_stages().model_of_stage(1).count("M"), 112);
  EXPECT_EQ(two_stages().model_of_stage(1).count("A"), 128);
}

TEST(CampaignSpec, SharesTokensAndStepsResolveToTheSameSpan) {
  EXPECT_EQ((Span{Span::Unit::kShare, 0.01}.steps(300, 1000)), 3);
  EXPECT_EQ((Span{Span::Unit::kTokens, 3000}.steps(300, 1000)), 3);
  EXPECT_EQ((Span{Span::Unit::kSteps, 3}.steps(300, 1000)), 3);
  EXPECT_EQ((Span{Span::Unit::kShare, 0.0001}.steps(300, 1000)), 1);  // positive spans have at least one step
  EXPECT_EQ((Span{Span::Unit::kShare, 0}.steps(300, 1000)), 0);
  EXPECT_EQ((Span{Span::Unit::kSteps, 500}.steps(300, 1000)), 300);
}

TEST(CampaignSpec, ScheduleTakesItsLengthFromTheStage) {
  CampaignSpec spec = two_stages();
  spec.stages[1].lr.kind = ScheduleKind::kWsd;
  spec.stages[1].lr.warmup = {Span::Unit::kShare, 0.9};
  spec.stages[1].lr.decay = {Span::Unit::kShare, 0.2};
  const Schedule schedule = spec.schedule_of_stage(1);
  EXPECT_EQ(schedule.total_steps, 300);
  EXPECT_EQ(schedule.warmup_steps, 270);
  EXPECT_EQ(schedule.decay_steps, 30);  // what the warm-up leaves
}

TEST(Period, IsDueWhereOneEndsWithinAStep) {
  const Period tokens{Period::Unit::kTokens, 1000}, steps{Period::Unit::kSteps, 2};
  EXPECT_FALSE(tokens.due(0, 1, 0, 999));
  EXPECT_TRUE(tokens.due(1, 2, 999, 1000));
  EXPECT_FALSE(tokens.due(2, 3, 1000, 1999));
  EXPECT_TRUE(tokens.due(3, 4, 1999, 5000));
  EXPECT_FALSE(steps.due(0, 1, 0, 5000));
  EXPECT_TRUE(steps.due(1, 2, 0, 1));
  EXPECT_FALSE(Period{}.due(0, 9, 0, 9));
}

}  // namespace
}  // namespace nexus
