// The rates of a stage that grew its model.
#include <gtest/gtest.h>

#include "train/trainer.h"

namespace nexus {
namespace {

// A rate of 0.1 for 10 steps, then down to 0.01 in another 10; new blocks warm up to 1.3 times that.
StagePlan plan_of(bool grown, int64_t new_warmup_steps) {
  StagePlan plan;
  plan.steps = 20;
  plan.schedule = {ScheduleKind::kWsd, 0.1, 0.01, 0, 10, 20};
  plan.grown = grown;
  plan.new_lr_mult = 1.3;
  plan.new_warmup_steps = new_warmup_steps;
  return plan;
}

TEST(StagePlan, WithoutGrowthHasOneRate) {
  StagePlan plan = plan_of(false, 5);
  plan.old_lr_mult = 0.5;
  plan.new_warmup_decay = false;
  for (const int64_t step : {1, 10, 20}) {
    EXPECT_EQ(plan.old_rate(step), plan.schedule.at(step));
    EXPECT_EQ(plan.newest_rate(step), plan.schedule.at(step));
    EXPECT_TRUE(plan.newest_decays(step));
  }
}

// The same bits as before there were other multipliers than new_lr_mult.
TEST(StagePlan, WarmsNewBlocksUpFromZeroUnlessTold) {
  const StagePlan plan = plan_of(true, 3);
  for (int64_t step = 1; step <= 20; ++step) {
    EXPECT_EQ(plan.old_rate(step), plan.schedule.at(step));
    EXPECT_EQ(plan.newest_rate(step), plan.schedule.at(step) * 1.3 * std::min(1.0, static_cast<double>(step) / 3.0));
    EXPECT_TRUE(plan.newest_decays(step));
  }
}

// From the schedule's rate to 1.3 times it, without weight decay meanwhile; then in proportion to the schedule.
TEST(StagePlan, TreatsNewBlocksAsymmetrically) {
  StagePlan plan = plan_of(true, 4);
  plan.old_lr_mult = 0;
  plan.new_warmup_from = 1;
  plan.new_warmup_decay = false;
  EXPECT_DOUBLE_EQ(plan.newest_rate(1), 0.1 * 1.075);
  EXPECT_DOUBLE_EQ(plan.newest_rate(2), 0.1 * 1.15);
  EXPECT_DOUBLE_EQ(plan.newest_rate(4), 0.13);
  EXPECT_DOUBLE_EQ(plan.newest_rate(20), 0.013);
  EXPECT_FALSE(plan.newest_decays(4));
  EXPECT_TRUE(plan.newest_decays(5));
  EXPECT_EQ(plan.old_rate(7), 0);
}

}  // namespace
}  // namespace nexus
