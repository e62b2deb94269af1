#include "system/clock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>

namespace nexus {
namespace {

TEST(Clock, TheSteadyOneNeverGoesBackAndMeasuresSleep) {
  const double start = steady_seconds();
  const int64_t start_ms = steady_milliseconds();
  sleep_seconds(0.01);
  EXPECT_GE(steady_seconds() - start, 0.01);
  EXPECT_GE(steady_milliseconds() - start_ms, 9);
  EXPECT_NEAR(static_cast<double>(start_ms) * 1e-3, start, 600);  // the host may sleep in between, but it is one clock
}

TEST(Clock, TheWallClockIsTheSystems) {
  EXPECT_NEAR(unix_seconds(), static_cast<double>(std::time(nullptr)), 600);
  EXPECT_THAT(local_time_text(), testing::MatchesRegex("20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
                                                       "[+-][0-9]{4}"));
}

}  // namespace
}  // namespace nexus
