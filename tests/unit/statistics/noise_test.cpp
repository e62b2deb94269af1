#include "statistics/noise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "statistics/interval.h"
#include "support/loss_table.h"

namespace nexus {
namespace {

constexpr int kTables = 2000;

TEST(SeparateNoise, TakesEvaluationsOutOfTheTotal) {
  const NoiseParts parts = separate_noise({{3.0, 0.3}, {4.0, 0.4}, {5.0, 0.5}});
  EXPECT_EQ(parts.n, 3);
  EXPECT_DOUBLE_EQ(parts.total, 1.0);
  EXPECT_DOUBLE_EQ(parts.evaluation, 0.5 / 3);
  EXPECT_DOUBLE_EQ(parts.seed, 1.0 - 0.5 / 3);
  EXPECT_TRUE(std::isnan(parts.shared_windows));
}

TEST(SeparateNoise, LeavesNothingToSeedsThatScatterLessThanTheirEvaluations) {
  const NoiseParts parts = separate_noise({{3.0, 0.5}, {3.1, 0.5}, {3.2, 0.5}});
  EXPECT_EQ(parts.seed, 0);
  EXPECT_NEAR(parts.total, 0.01, 1e-15);  // rounding of 3.1 and 3.2
  EXPECT_DOUBLE_EQ(parts.evaluation, 0.25) << "stays as it was estimated";
}

TEST(SeparateNoise, KnowsNothingOfTheSeedPartFromOneSeedOrWithoutStandardErrors) {
  const NoiseParts one = separate_noise({{3.0, 0.5}});
  EXPECT_TRUE(std::isnan(one.total) && std::isnan(one.seed));
  EXPECT_DOUBLE_EQ(one.evaluation, 0.25);
  const NoiseParts unknown = separate_noise({{3.0, 0.5}, {3.1, std::nan("")}});  // of one window
  EXPECT_TRUE(std::isnan(unknown.evaluation) && std::isnan(unknown.seed));
  EXPECT_NEAR(unknown.total, 0.005, 1e-15);
  EXPECT_TRUE(std::isnan(separate_noise_by_windows({{1, 2}}).total));
}

TEST(SeparateNoise, SeparatesATableByHand) {
  // Rows 0 and 2 about columns 0, 1, 5, and a rest that sums to zero along both: +-0.5 in the first two columns.
  const NoiseParts parts = separate_noise_by_windows({{0.5, 0.5, 5}, {1.5, 3.5, 7}});
  EXPECT_DOUBLE_EQ(parts.total, 2);
  EXPECT_DOUBLE_EQ(parts.evaluation, 4 * 0.25 / 2 / 3);
  EXPECT_DOUBLE_EQ(parts.seed, 2 - 1.0 / 6);
  EXPECT_DOUBLE_EQ(parts.shared_windows, 7.0 / 3 - 1.0 / 12);  // variance of 1, 2, 6 over 3 windows, less half the rest
}

// Means over many tables of 5 seeds, each with windows drawn anew.
struct MeanParts {
  double evaluation = 0, seed = 0, shared_windows = 0, seed_by_errors = 0;
};

MeanParts mean_parts(const LossTableOptions& options, bool differences) {
  const NoiseSource noise(9, "noise parts");
  MeanParts mean;
  for (int i = 0; i < kTables; ++i) {
    const LossTable table(options, noise);
    std::vector<std::vector<double>> windows;
    std::vector<MeasuredValue> measured;
    for (int seed = 0; seed < options.seeds; ++seed) {
      windows.push_back(table.windows(1, seed));
      if (differences)
        for (int w = 0; w < options.windows; ++w) windows.back()[w] -= table.windows(0, seed)[w];
      const Interval over_windows = mean_and_sd(windows.back());
      measured.push_back({over_windows.mean, over_windows.sd / std::sqrt(options.windows)});
    }
    const NoiseParts parts = separate_noise_by_windows(windows);
    mean.evaluation += parts.evaluation / kTables;
    mean.seed += parts.seed / kTables;
    mean.shared_windows += parts.shared_windows / kTables;
    mean.seed_by_errors += separate_noise(measured).seed / kTables;
  }
  return mean;
}

TEST(SeparateNoise, RecoversPlantedPartsOfPairedDifferences) {
  const LossTableOptions options{.seeds = 5, .training_sd = 0.02};
  const MeanParts mean = mean_parts(options, true);
  const double seed = 2 * 0.02 * 0.02, evaluation = 2 * 0.02 * 0.02 / 16, shared = 2 * 0.01 * 0.01 / 16;
  // Relative standard deviations of one estimate: of a variance of 4 degrees of freedom 0.7, of 60 degrees 0.18, of the
  // windows' 15 degrees 0.37 of shared + evaluation / 5 = 1.4 shared. Four of them over sqrt(2000).
  EXPECT_NEAR(mean.seed / seed, 1, 4 * 0.76 / std::sqrt(kTables));
  EXPECT_NEAR(mean.evaluation / evaluation, 1, 4 * 0.18 / std::sqrt(kTables));
  EXPECT_NEAR(mean.shared_windows / shared, 1, 4 * 0.67 / std::sqrt(kTables));
}

TEST(SeparateNoise, FromStandardErrorsOfLossesOnSharedWindowsIsALowerBoundOfTheSeedPart) {
  // se = 0.3 / 4 of every loss comes from windows that all seeds read: it hides seeds that scatter by 0.05.
  const MeanParts mean = mean_parts({.seeds = 5}, false);
  const double seed = 0.05 * 0.05 + 0.004 * 0.004;
  EXPECT_NEAR(mean.seed / seed, 1, 4 * 0.72 / std::sqrt(kTables));  // as above
  EXPECT_LT(mean.seed_by_errors, 0.25 * seed);
}

TEST(SeparateNoise, FromStandardErrorsOfDifferencesIsNearlyExactWhereArmsDifferAlikeInAllWindows) {
  const MeanParts mean = mean_parts({.seeds = 5, .training_sd = 0.02, .window_of_arm_sd = 0}, true);
  EXPECT_NEAR(mean.seed_by_errors / (2 * 0.02 * 0.02), 1, 4 * 0.76 / std::sqrt(kTables));  // as above
}

}  // namespace
}  // namespace nexus
