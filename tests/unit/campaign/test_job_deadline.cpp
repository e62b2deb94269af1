#include <gtest/gtest.h>

#include "campaign/launch_keeper.h"

namespace nexus {
namespace {

TEST(JobDeadline, LeavesRoomForTheMarginAndASlowerSave) {
  std::optional<double> left = 100;
  JobDeadline deadline([&] { return left; }, 60);
  EXPECT_FALSE(deadline.reached(0));
  EXPECT_FALSE(deadline.reached(20));
  EXPECT_TRUE(deadline.reached(30));  // 60 + 1.5 * 30 > 100
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
  JobDeadline deadline([]() -> std::optional<double> { return std::nullopt; }, 60);
  EXPECT_FALSE(deadline.reached(1e9));
}

}  // namespace
}  // namespace nexus
