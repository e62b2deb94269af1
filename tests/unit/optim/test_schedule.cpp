#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "optim/schedule.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

Schedule schedule(ScheduleKind kind) {
  return {kind, 1e-3, 1e-4, 10, 20, 100};
}

TEST(Schedule, WarmsUpLinearlyAndReachesThePeakAtItsLastStep) {
  for (const auto kind : {ScheduleKind::kConstant, ScheduleKind::kCosine, ScheduleKind::kWsd}) {
    EXPECT_DOUBLE_EQ(schedule(kind).at(1), 1e-4);
    EXPECT_DOUBLE_EQ(schedule(kind).at(5), 5e-4);
    EXPECT_DOUBLE_EQ(schedule(kind).at(10), 1e-3);
  }
}

TEST(Schedule, CosineReachesItsMinimumAtTheLastStepAndTheMiddleHalfWay) {
  const Schedule s = schedule(ScheduleKind::kCosine);
  EXPECT_DOUBLE_EQ(s.at(55), 0.5 * (1e-3 + 1e-4));  // half of the 90 steps after the warm-up
  EXPECT_NEAR(s.at(100), 1e-4, 1e-18);              // cos(pi) is -1 up to one rounding
  EXPECT_LT(s.at(11), 1e-3);
}

TEST(Schedule, WsdStaysAtThePeakAndDecaysLinearly) {
  const Schedule s = schedule(ScheduleKind::kWsd);
  EXPECT_DOUBLE_EQ(s.at(80), 1e-3);
  EXPECT_DOUBLE_EQ(s.at(90), 1e-4 + 0.5 * 9e-4);
  EXPECT_DOUBLE_EQ(s.at(100), 1e-4);
}

TEST(Schedule, NeverRisesAfterTheWarmUp) {
  for (const auto kind : {ScheduleKind::kConstant, ScheduleKind::kCosine, ScheduleKind::kWsd}) {
    const Schedule s = schedule(kind);
    for (int64_t step = 10; step < 100; ++step) EXPECT_LE(s.at(step + 1), s.at(step)) << "step " << step;
  }
}

TEST(Schedule, RefusesStepsOutsideTheStage) {
  EXPECT_NEXUS_ERROR(schedule(ScheduleKind::kCosine).at(0), ErrorKind::kInternal,
                     ::testing::HasSubstr("step 0 of 100"));
  EXPECT_NEXUS_ERROR(schedule(ScheduleKind::kCosine).at(101), ErrorKind::kInternal, ::testing::HasSubstr("step 101"));
}

}  // namespace
}  // namespace nexus
