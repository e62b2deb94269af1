#include "report/matched_compute.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/rng.h"

namespace nexus {
namespace {

// Loss = top - slope * ln(C): a straight line in (log C, log perplexity), so interpolation is exact.
Curve straight_curve(double top, double slope, double loss_se = 0.0, int points = 12) {
  Curve curve;
  for (int i = 0; i < points; ++i) {
    const double flops = 1e15 * std::pow(2.0, i);
    curve.push_back({flops, top - slope * std::log(flops), loss_se});
  }
  return curve;
}

// The run of straight_curve(top - slope * ln(factor)) needs 1/factor of the compute at every perplexity.
Curve faster(double factor, double loss_se = 0.0, int points = 12) {
  return straight_curve(10.0 - 0.2 * std::log(factor), 0.2, loss_se, points);
}

// exp(log(x)) of interpolated figures: some ulp of a number near 37, magnified by exp to about 1e-13.
constexpr double kRounding = 1e-11;

TEST(ComputeToReach, InterpolatesInLogLog) {
  const Curve curve = straight_curve(10.0, 0.2);
  const double flops = 3.3e15;
  const Crossing crossing = compute_to_reach(curve, 10.0 - 0.2 * std::log(flops));
  EXPECT_EQ(crossing.kind, Crossing::Kind::kReached);
  EXPECT_NEAR(crossing.flops / flops, 1.0, kRounding);
}

TEST(ComputeToReach, TakesTheFirstCrossingOfACurveWithABump) {
  const Curve curve = {{1e15, 4.0, 0}, {2e15, 3.0, 0}, {3e15, 3.5, 0}, {4e15, 3.0, 0}, {8e15, 2.0, 0}};
  EXPECT_NEAR(compute_to_reach(curve, 3.0).flops / 2e15, 1.0, kRounding);
  EXPECT_NEAR(compute_to_reach(curve, 2.0).flops / 8e15, 1.0, kRounding);
  // After the bump the measured line counts, not a straight line from the earlier best.
  EXPECT_GT(compute_to_reach(curve, 2.9).flops, 4e15);
}

TEST(ComputeToReach, SaysWhereTheTargetLiesOutsideTheCurve) {
  const Curve curve = straight_curve(10.0, 0.2);
  EXPECT_EQ(compute_to_reach(curve, 0.1).kind, Crossing::Kind::kNotReached);
  EXPECT_EQ(compute_to_reach(curve, 0.1).flops, curve.back().flops);
  EXPECT_EQ(compute_to_reach(curve, 9.9).kind, Crossing::Kind::kBeforeFirst);
  EXPECT_EQ(compute_to_reach(curve, 9.9).flops, curve.front().flops);
  EXPECT_EQ(compute_to_reach({}, 3.0).kind, Crossing::Kind::kNoCurve);
}

TEST(ComputeSaved, IsKnownForParallelCurves) {
  // 1/0.6 times as fast everywhere: 40 % saved, at whatever target.
  const Saving saving = compute_saved(faster(1 / 0.6), faster(1.0), std::nullopt);
  EXPECT_EQ(saving.kind, Saving::Kind::kExact);
  EXPECT_NEAR(saving.saved, 0.4, kRounding);
  EXPECT_NEAR(saving.low, 0.4, kRounding);  // no noise: no width
  EXPECT_NEAR(saving.high, 0.4, kRounding);
}

TEST(ComputeSaved, IsNegativeForTheSlowerRun) {
  EXPECT_NEAR(compute_saved(faster(1.0), faster(2.0), std::nullopt).saved, -1.0, kRounding);
}

TEST(ComputeSaved, DefaultsToTheBestLossThatBothReach) {
  const Curve run = faster(1 / 0.6), baseline = faster(1.0);
  EXPECT_TRUE(std::isnan(compute_saved(run, {}, std::nullopt).target_loss)) << "nothing to aim at";
  EXPECT_EQ(compute_saved(run, baseline, std::nullopt).target_loss, baseline.back().loss);
  EXPECT_EQ(compute_saved(baseline, run, std::nullopt).target_loss, baseline.back().loss);
}

TEST(ComputeSaved, IntervalHasTheWidthThatTheNoiseGivesIt) {
  // ln(C_run / C_baseline) has standard deviation sqrt(2) * se / slope in the middle of parallel straight curves.
  const double se = 0.004, slope = 0.2, sd = std::sqrt(2.0) * se / slope;
  const Curve run = faster(1 / 0.6, se), baseline = faster(1.0, se);
  const Saving saving = compute_saved(run, baseline, baseline[6].loss, {.draws = 20000});
  // 0.0008: four standard errors of a 2.5 % quantile from 20000 draws, 0.6 * sd * 2.7 / sqrt(20000) each.
  EXPECT_NEAR(saving.low, 1 - 0.6 * std::exp(1.96 * sd), 0.0015);
  EXPECT_NEAR(saving.high, 1 - 0.6 * std::exp(-1.96 * sd), 0.0015);
}

TEST(ComputeSaved, IntervalCoversTheTruthAsOftenAsItSays) {
  // 300 pairs of noisy curves with a known saving of 40 %; each run's evaluations share their window noise.
  const double se = 0.004;
  const RandomStream noise(7, "coverage");
  int covered = 0;
  for (uint64_t trial = 0; trial < 300; ++trial) {
    Curve run = faster(1 / 0.6, se), baseline = faster(1.0, se);
    for (CurvePoint& point : run) point.loss += se * noise.normal(2 * trial);
    for (CurvePoint& point : baseline) point.loss += se * noise.normal(2 * trial + 1);
    const Saving saving = compute_saved(run, baseline, faster(1.0)[6].loss, {.draws = 400, .seed = trial});
    covered += saving.low <= 0.4 && 0.4 <= saving.high;
  }
  // 95 % of 300 is 285, standard deviation 3.8: four of them on either side.
  EXPECT_GE(covered, 270);
  EXPECT_LE(covered, 299);
}

TEST(ComputeSaved, RepeatsItselfForOneSeed) {
  const Curve run = faster(1.5, 0.01), baseline = faster(1.0, 0.01);
  const Saving first = compute_saved(run, baseline, std::nullopt), second = compute_saved(run, baseline, std::nullopt);
  EXPECT_EQ(first.low, second.low);
  EXPECT_EQ(first.high, second.high);
  EXPECT_LT(first.low, first.high);
}

TEST(ComputeSaved, IsALowerBoundWhereOnlyTheBaselineNeverArrives) {
  const Curve run = faster(4.0), baseline = faster(1.0);
  const Saving saving = compute_saved(run, baseline, run.back().loss);
  EXPECT_EQ(saving.kind, Saving::Kind::kAtLeast);
  EXPECT_NEAR(saving.saved, 0.0, kRounding);  // both spent the same; the baseline is not there yet
}

TEST(ComputeSaved, GivesNoNumberWhereTheRunNeverArrives) {
  const Saving saving = compute_saved(faster(1.0), faster(4.0), faster(4.0).back().loss);
  EXPECT_EQ(saving.kind, Saving::Kind::kUndetermined);
  EXPECT_EQ(saving.reason, "not reached");
  EXPECT_EQ(compute_saved(faster(1.0), faster(4.0), 0.5).reason, "not reached by either run");
  EXPECT_EQ(compute_saved(faster(1.0), faster(4.0), 9.0).reason, "reached before the first evaluation");
  EXPECT_EQ(compute_saved({}, faster(4.0), 2.0).reason, "no evaluations");
}

TEST(ComputeSaved, HasNoLowerBoundWhereNoiseMayHideTheCrossing) {
  // A target exactly at the run's end: in half of the draws the run does not get there.
  const Curve run = faster(1.0, 0.01), baseline = faster(2.0, 0.01);
  const Saving saving = compute_saved(run, baseline, run.back().loss);
  EXPECT_EQ(saving.kind, Saving::Kind::kExact);
  EXPECT_TRUE(std::isinf(saving.low));
  EXPECT_TRUE(std::isfinite(saving.high));
}

TEST(SavingCurve, SpansTheLossesThatBothCurvesCross) {
  const Curve run = faster(1 / 0.6), baseline = faster(1.0);
  const std::vector<Saving> savings = saving_curve(run, baseline, 5, {.draws = 10});
  ASSERT_EQ(savings.size(), 5u);
  EXPECT_EQ(savings.front().target_loss, run.front().loss);
  EXPECT_EQ(savings.back().target_loss, baseline.back().loss);
  for (const Saving& saving : savings) EXPECT_NEAR(saving.saved, 0.4, kRounding);
}

TEST(SavingCurve, IsEmptyForCurvesThatShareNoLoss) {
  EXPECT_TRUE(saving_curve({{1e15, 5, 0}, {2e15, 4, 0}}, {{1e15, 3, 0}, {2e15, 2, 0}}, 5).empty());
}

TEST(PerplexityCurve, LeavesOutWhatHasNoPlaceOnLogarithmicAxes) {
  RunHistory run;
  for (const double flops : {0.0, 2e15, 1e15, 3e15}) {
    EvalRecord row;
    row.flops = flops;
    row.loss = flops == 3e15 ? std::nan("") : 3.0;
    run.evals.push_back(row);
  }
  const Curve curve = loss_curve(run);
  ASSERT_EQ(curve.size(), 2u);
  EXPECT_EQ(curve[0].flops, 1e15);
  EXPECT_EQ(curve[1].flops, 2e15);
}

}  // namespace
}  // namespace nexus
