#include "statistics/interval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/rng.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

TEST(MeanInterval, IsStudentsOfAWorkedExample) {
  // Mean 3, sd sqrt(2.5), half width 2.7764 * 0.70711 = 1.9632.
  const Interval interval = mean_interval({1, 2, 3, 4, 5});
  EXPECT_EQ(interval.n, 5);
  EXPECT_DOUBLE_EQ(interval.mean, 3);
  EXPECT_DOUBLE_EQ(interval.sd, std::sqrt(2.5));
  EXPECT_NEAR(interval.low, 3 - 1.9632, 5e-5);  // the example's last digit
  EXPECT_NEAR(interval.high, 3 + 1.9632, 5e-5);
  EXPECT_LT(mean_interval({1, 2, 3, 4, 5}, 0.8).high, interval.high);
}

TEST(MeanInterval, HasNoIntervalForOneValue) {
  const Interval interval = mean_interval({2.5});
  EXPECT_EQ(interval.mean, 2.5);
  EXPECT_TRUE(std::isnan(interval.sd));
  EXPECT_FALSE(interval.has_interval());
  EXPECT_FALSE(mean_interval({}).has_interval());
  EXPECT_TRUE(std::isnan(mean_interval({}).mean));
}

TEST(MeanInterval, HasNoIntervalWhereSeedsDoNotScatter) {
  const Interval interval = mean_interval({0.1, 0.1, 0.1});  // whose mean is rounded
  EXPECT_EQ(interval.n, 3);
  EXPECT_NEAR(interval.mean, 0.1, 1e-16);
  EXPECT_FALSE(interval.has_interval());
}

TEST(PairedDifference, IsTakenSeedBySeed) {
  const SeedValues a = {{"parent-1", 3.5}, {"parent-2", 4.25}, {"parent-3", 5.0}};
  const SeedValues b = {{"parent-3", 4.5}, {"parent-1", 3.25}, {"parent-2", 4.125}};
  EXPECT_THAT(paired_differences(a, b), testing::ElementsAre(0.25, 0.125, 0.5));
  EXPECT_EQ(paired_difference(a, b).mean, mean_interval({0.25, 0.125, 0.5}).mean);
  EXPECT_EQ(paired_difference(a, b, 0.8).low, mean_interval({0.25, 0.125, 0.5}, 0.8).low);
}

TEST(PairedDifference, TakesOutWhatParentsHaveInCommon) {
  const SeedValues a = {{"1", 3.0}, {"2", 4.0}, {"3", 5.0}}, b = {{"1", 2.75}, {"2", 3.875}, {"3", 4.75}};
  EXPECT_GT(paired_difference(a, b).low, 0);
  EXPECT_LT(mean_interval({3, 4, 5}).low, mean_interval({2.75, 3.875, 4.75}).high) << "unpaired they overlap";
}

TEST(PairedDifference, RefusesArmsWithOtherSeeds) {
  const SeedValues a = {{"1", 3.0}, {"2", 4.0}, {"4", 1.0}}, b = {{"1", 2.5}, {"3", 4.0}, {"4", 1.0}};
  EXPECT_NEXUS_ERROR(paired_differences(a, b), ErrorKind::kData,
                     testing::HasSubstr("only in the first: 2; only in the second: 3"));
  EXPECT_NEXUS_ERROR(paired_differences(a, {}), ErrorKind::kData,
                     testing::HasSubstr("only in the first: 1, 2, 4; only in the second: none"));
}

std::vector<double> normal_values(size_t n) {
  const RandomStream noise(3, "values");
  std::vector<double> values;
  for (size_t i = 0; i < n; ++i) values.push_back(1 + noise.normal(i));
  return values;
}

TEST(BootstrapInterval, IsGivenFromTenSeedsOn) {
  EXPECT_FALSE(bootstrap_interval(normal_values(kLeastSeedsForBootstrap - 1)).has_interval());
  EXPECT_EQ(bootstrap_interval(normal_values(4)).mean, mean_interval(normal_values(4)).mean);
  EXPECT_TRUE(bootstrap_interval(normal_values(kLeastSeedsForBootstrap)).has_interval());
  EXPECT_FALSE(bootstrap_interval(std::vector<double>(12, 0.1)).has_interval());
}

TEST(BootstrapInterval, IsNearlyStudentsForManyNormalValues) {
  const Interval bootstrap = bootstrap_interval(normal_values(400), {.draws = 20000});
  const Interval t = mean_interval(normal_values(400));
  // Of a half width 0.1: 3 % are four standard errors of a 2.5 % quantile of 20000 draws, and what the values' own
  // skewness, 0.12 by chance, shifts both ends.
  EXPECT_NEAR(bootstrap.low, t.low, 0.005);
  EXPECT_NEAR(bootstrap.high, t.high, 0.005);
}

TEST(BootstrapInterval, ReachesFartherToTheSideOfALongTail) {
  std::vector<double> values;
  for (const double z : normal_values(40)) values.push_back(std::exp(z));
  const Interval interval = bootstrap_interval(values);
  EXPECT_GT(interval.high - interval.mean, 1.2 * (interval.mean - interval.low));
}

TEST(BootstrapInterval, RepeatsItselfForOneSeed) {
  EXPECT_EQ(bootstrap_interval(normal_values(10)).low, bootstrap_interval(normal_values(10)).low);
  EXPECT_NE(bootstrap_interval(normal_values(10)).low, bootstrap_interval(normal_values(10), {.seed = 2}).low);
}

}  // namespace
}  // namespace nexus
