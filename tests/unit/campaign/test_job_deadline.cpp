#include <gtest/gtest.h>

#include <cmath>

#include "campaign/launch_keeper.h"

namespace nexus {
namespace {

TEST(JobDeadline, LeavesRoomForTheMarginAndASlowerSave) {
  JobDeadline deadline([] { return 80.0; }, 60);
  EXPECT_FALSE(deadline.reached(0));
  EXPECT_FALSE(deadline.reached(10));  // 60 + 1.5 * 10 < 80
  EXPECT_TRUE(deadline.reached(14));   // 60 + 1.5 * 14 > 80
}

TEST(JobDeadline, ASaveThatHungOnceLeavesThreeQuartersOfTheTime) {
  JobDeadline deadline([] { return 1000.0; }, 60);
  EXPECT_FALSE(deadline.reached(5000));
}

TEST(JobDeadline, TheLastAnswerStandsWhereSlurmIsSilent) {
  std::optional<double> left = 50;
  bool broken = false;
  JobDeadline deadline(
      [&] {
        if (broken) throw Error(ErrorKind::kIo, "no processes left");
        return left;
      },
      60);
  left.reset();
  EXPECT_TRUE(deadline.reached(0));
  broken = true;
  EXPECT_TRUE(deadline.reached(0));
}

TEST(JobDeadline, AsksOnceMoreBeforeItStops) {
  std::optional<double> left = 50;
  int asked = 0;
  JobDeadline deadline(
      [&] {
        ++asked;
        return left;
      },
      60);
  left = 5000;  // an administrator has extended the limit
  EXPECT_FALSE(deadline.reached(0));
  EXPECT_EQ(asked, 2);
  EXPECT_FALSE(deadline.reached(0));
  EXPECT_EQ(asked, 2);  // far away: no need to ask at every step
}

TEST(JobDeadline, NoLimitIsNeverReached) {
  for (const std::optional<double> left : {std::optional<double>(), std::optional<double>(INFINITY)}) {
    JobDeadline deadline([left] { return left; }, 60);
    EXPECT_FALSE(deadline.reached(1e9));
  }
}

}  // namespace
}  // namespace nexus
