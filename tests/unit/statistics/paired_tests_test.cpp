#include "statistics/paired_tests.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/rng.h"

namespace nexus {
namespace {

TEST(McNemarTest, IsTheBinomialTestOfDiscordantItems) {
  // Two-sided tails of 12 fair trials: (1 + 12 + 66) / 4096 on each side, of which 66 / 4096 are this very split.
  const McNemar test = mcnemar(10, 2);
  EXPECT_NEAR(test.exact, 2 * 79.0 / 4096, 1e-13);
  EXPECT_NEAR(test.mid, (2 * 79.0 - 66) / 4096, 1e-13);
  EXPECT_DOUBLE_EQ(mcnemar(2, 10).exact, test.exact);
  EXPECT_NEAR(mcnemar(5, 0).exact, 2.0 / 32, 1e-13);
  EXPECT_NEAR(mcnemar(5, 0).mid, 1.0 / 32, 1e-13);
  // As many on each side: nothing speaks against chance.
  EXPECT_EQ(mcnemar(0, 0).exact, 1);
  EXPECT_EQ(mcnemar(0, 0).mid, 1);
  EXPECT_EQ(mcnemar(7, 7).exact, 1);
  EXPECT_NEAR(mcnemar(7, 7).mid, 1, 1e-13);
  // Fagerland, Lydersen and Laake (BMC Med Res Methodol 13:91, 2013), table 1: airway hyper-responsiveness, 1 and 7.
  EXPECT_NEAR(mcnemar(1, 7).exact, 0.0703, 5e-5);
  EXPECT_NEAR(mcnemar(1, 7).mid, 0.0391, 5e-5);
}

// Of many items the binomial is a normal distribution: erfc(|b - c| / sqrt(2 n)), the exact one a little above it.
TEST(McNemarTest, HoldsForManyItems) {
  const double normal = std::erfc(200 / std::sqrt(2.0 * 10000));
  EXPECT_NEAR(mcnemar(5100, 4900).mid, normal, 1e-5);
  EXPECT_GT(mcnemar(5100, 4900).exact, normal);
}

std::vector<double> noise(size_t count, double mean) {
  const RandomStream stream(3, "noise");
  std::vector<double> values;
  for (size_t i = 0; i < count; ++i) values.push_back(mean + stream.normal(i));
  return values;
}

Bootstrap bootstrap_of_mean(const std::vector<double>& values, const ItemBootstrap& options = {}) {
  return paired_bootstrap(
      values.size(),
      [&](const std::vector<int32_t>& times) {
        double sum = 0;
        for (size_t i = 0; i < times.size(); ++i) sum += times[i] * values[i];
        return sum / static_cast<double>(values.size());
      },
      options);
}

// The bootstrap of a mean is nearly normal, with the deviation sd(n) / sqrt(n).
TEST(PairedBootstrap, IsThatOfTheMean) {
  const std::vector<double> values = noise(400, 0.1);
  double mean = 0, squares = 0;
  for (const double value : values) mean += value / 400;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double se = std::sqrt(squares / 400 / 400);
  const Bootstrap test = bootstrap_of_mean(values, {.draws = 20000});
  EXPECT_NEAR(test.value, mean, 1e-12);
  // Of 20000 draws a percentile at 2.5 % has a standard error of 0.02 deviations: four of them.
  EXPECT_NEAR(test.low, mean - 1.96 * se, 0.08 * se);
  EXPECT_NEAR(test.high, mean + 1.96 * se, 0.08 * se);
  EXPECT_NEAR(test.p, std::erfc(std::abs(mean) / se / std::sqrt(2.0)), 0.01);
}

TEST(PairedBootstrap, IsAFunctionOfItsSeed) {
  const std::vector<double> values = noise(50, 0);
  EXPECT_EQ(bootstrap_of_mean(values).low, bootstrap_of_mean(values).low);
  EXPECT_NE(bootstrap_of_mean(values).low, bootstrap_of_mean(values, {.seed = 2}).low);
  EXPECT_LT(bootstrap_of_mean(values, {.confidence = 0.5}).high, bootstrap_of_mean(values).high);
}

TEST(PairedBootstrap, DoesNotClaimMoreThanItsDrawsShow) {
  const Bootstrap far = bootstrap_of_mean(noise(50, 20), {.draws = 99});
  EXPECT_DOUBLE_EQ(far.p, 2.0 / 100);
  EXPECT_EQ(bootstrap_of_mean({0, 0, 0}).p, 1);  // two equal models
}

}  // namespace
}  // namespace nexus
