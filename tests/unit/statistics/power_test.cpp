#include "statistics/power.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/rng.h"
#include "statistics/interval.h"

namespace nexus {
namespace {

TEST(Power, SeedsNeededAreThoseOfPublishedTables) {
  // One-sample and paired t test, two-sided 5 %, power 80 %: Cohen's small, medium and large effect (d = 0.2, 0.5,
  // 0.8), as G*Power and R's power.t.test give them.
  EXPECT_EQ(seeds_needed(0.2, 1), 199);
  EXPECT_EQ(seeds_needed(0.5, 1), 34);
  EXPECT_EQ(seeds_needed(0.8, 1), 15);
  EXPECT_EQ(seeds_needed(-0.8, 1), 15) << "of either sign";
}

TEST(Power, IsTheTestsLevelWithoutADifference) {
  for (const int64_t n : {2, 3, 10, 100}) EXPECT_NEAR(chance_to_show(0, 1, n), kTestLevel, 1e-8) << n;
}

TEST(Power, ShareOfSimulatedStudiesThatShowTheSmallestDifferenceIsEighty) {
  constexpr int kSimulated = 10000;
  const RandomStream noise(11, "power");
  uint64_t index = 0;
  for (const size_t n : {2u, 3u, 5u, 10u}) {
    const double sd = 0.004, difference = smallest_difference(sd, static_cast<int64_t>(n));
    int shown = 0;
    for (int study = 0; study < kSimulated; ++study) {
      std::vector<double> differences;
      for (size_t i = 0; i < n; ++i) differences.push_back(difference + sd * noise.normal(index++));
      const Interval interval = mean_interval(differences);
      shown += interval.low > 0 || interval.high < 0;
    }
    // Four standard deviations of a share of 10000: sqrt(0.8 * 0.2 / 10000) = 0.004.
    EXPECT_NEAR(shown / double{kSimulated}, kTestPower, 0.016) << n;
  }
}

TEST(Power, SmallestDifferenceAndSeedsNeededAgree) {
  for (const int64_t n : {2, 3, 5, 10, 200}) {
    const double difference = smallest_difference(0.01, n);
    EXPECT_EQ(seeds_needed(difference, 0.01), n);
    EXPECT_EQ(seeds_needed(difference * 0.999, 0.01), n + 1);
  }
}

TEST(Power, NormalQuantilesWouldPromiseAStudyOfThreeSeedsTooMuch) {
  const double by_normal_quantiles = (1.959964 + 0.841621) / std::sqrt(3.0);
  EXPECT_GT(smallest_difference(1, 3), 2 * by_normal_quantiles);
}

TEST(Power, KnowsNoNumberOfSeedsForADifferenceThatIsTooSmall) {
  EXPECT_EQ(seeds_needed(1e-6, 1), std::nullopt);
}

}  // namespace
}  // namespace nexus
