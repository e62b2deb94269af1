#include "report/compute_split.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/rng.h"
#include "support/synthetic_run.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

// Loss of a model of `size` parameters after `tokens`: L = E + A N^-a + B D^-b, with the constants that Besiroglu et
// al. (2024) fit to Chinchilla's runs.
double law(double size, double tokens) {
  return 1.8172 + 482.01 * std::pow(size, -0.3478) + 2085.43 * std::pow(tokens, -0.3658);
}

// The ladder's 240M and 440M: parameters without embeddings, training FLOPs per token.
constexpr double kSmall = 190.3e6, kLarge = 390.5e6, kSmallPrice = 1.516e9, kLargePrice = 2.717e9;
constexpr double kBillion = 1e9;
constexpr double kSmallTokens = 100 * kBillion;

// Evaluated every `every` tokens, up to `tokens`.
PricedRun scratch(double tokens, double every = kBillion / 2, double price = kLargePrice) {
  PricedRun run{{}, {{0, 0, price, false}}};
  for (double at = every; at <= tokens; at += every) run.curve.push_back({at * price, law(kLarge, at), 0});
  return run;
}

// 100B tokens of the small model, then the large one, to which each of them is worth `worth` of its own.
PricedRun grown(double tokens, double worth, double every = kBillion / 2) {
  const double before = kSmallTokens * kSmallPrice;
  PricedRun run{{}, {{0, 0, kSmallPrice, false}, {kSmallTokens, before, kLargePrice, true}}};
  for (double at = every; at <= kSmallTokens; at += every) run.curve.push_back({at * kSmallPrice, law(kSmall, at), 0});
  for (double at = every; at <= tokens - kSmallTokens; at += every)
    run.curve.push_back({before + at * kLargePrice, law(kLarge, at + worth * kSmallTokens), 0});
  return run;
}

const double kTarget = law(kLarge, 130 * kBillion);
// Straight lines between evaluations that are 0.4 % of the tokens apart: their squared distance.
constexpr double kInterpolation = 2e-5;
// Of sums and quotients near 1.
constexpr double kSplitRounding = 1e-12;

TEST(ComputeSplit, IsAccountingAloneWhereSmallStagesTokensAreWorthAsMuch) {
  const ComputeSplit split = split_saving({{grown(160 * kBillion, 1), scratch(160 * kBillion)}}, kTarget);
  EXPECT_EQ(split.kind, Saving::Kind::kExact);
  EXPECT_NEAR(split.accounting.mean, 1 - (100 * 1.516 + 30 * 2.717) / (130 * 2.717), kInterpolation);  // 34 %
  EXPECT_NEAR(split.quality.mean, 0, kInterpolation);
  EXPECT_NEAR(split.saved.mean, 0.34, 0.001);  // the figure's last digit
}

TEST(ComputeSplit, RecoversWhatSmallStagesTokensAreWorth) {
  for (const double worth : {0.75, 0.9, 1.1}) {
    const double tokens = 130 * kBillion + (1 - worth) * kSmallTokens;  // to reach the target
    const ComputeSplit split = split_saving({{grown(160 * kBillion, worth), scratch(160 * kBillion)}}, kTarget);
    EXPECT_NEAR(split.accounting.mean, 1 - (100 * 1.516 + 30 * 2.717) / (130 * 2.717), kInterpolation) << worth;
    EXPECT_NEAR(split.quality.mean, 1 - tokens / (130 * kBillion), kInterpolation) << "share of tokens saved";
    EXPECT_NEAR(split.stage_only.mean, 1 - (tokens - kSmallTokens) / (130 * kBillion), kInterpolation);
    EXPECT_NEAR(split.saved.mean, split.accounting.mean + split.quality.mean, kSplitRounding);
  }
}

TEST(ComputeSplit, TellsAnotherArchitecturesPriceFromItsQuality) {
  // A baseline of 1.25 times the FLOPs per token that needs the same tokens; and one of the same FLOPs that is worse.
  const PricedRun run = scratch(160 * kBillion);
  const ComputeSplit dearer = split_saving({{run, scratch(160 * kBillion, kBillion / 2, 1.25 * kLargePrice)}}, kTarget);
  EXPECT_NEAR(dearer.accounting.mean, 0.2, kInterpolation);
  EXPECT_NEAR(dearer.quality.mean, 0, kInterpolation);
  PricedRun slower = scratch(160 * kBillion);
  for (CurvePoint& point : slower.curve) point.loss = law(kLarge, 0.9 * point.flops / kLargePrice);
  const ComputeSplit worse = split_saving({{run, slower}}, kTarget);
  EXPECT_NEAR(worse.accounting.mean, 0, kInterpolation);
  EXPECT_NEAR(worse.quality.mean, 0.1, kInterpolation);
}

TEST(ComputeSplit, AddsUpWhereTheBaselineArrivesBeforeTheRunGrows) {
  const double target = law(kLarge, 40 * kBillion);  // which the small model never reaches
  const ComputeSplit split = split_saving({{grown(160 * kBillion, 0.3), scratch(160 * kBillion)}}, target);
  EXPECT_NEAR(split.accounting.mean, 1 - kSmallPrice / kLargePrice, kInterpolation) << "of tokens of the small stage";
  EXPECT_LT(split.quality.mean, -1);
  EXPECT_NEAR(split.saved.mean, split.accounting.mean + split.quality.mean, kSplitRounding);
}

TEST(ComputeSplit, CountsSinceTheLastGrowthBeforeTheTargetOnly) {
  for (const double tokens : {80 * kBillion, kSmallTokens}) {  // reached by the small model, and at its very end
    const ComputeSplit split = split_saving({{grown(160 * kBillion, 1), scratch(160 * kBillion)}}, law(kSmall, tokens));
    EXPECT_EQ(split.stage_only.mean, split.saved.mean) << tokens;
  }
}

TEST(ComputeSplit, CountsStagesThatDoNotGrowWithTheOneBefore) {
  PricedRun run = grown(160 * kBillion, 1);
  const double growth = run.stages[1].start_flops;
  run.stages.push_back({110 * kBillion, growth + 10 * kBillion * kLargePrice, kLargePrice, false});
  EXPECT_EQ(split_saving({{run, scratch(160 * kBillion)}}, kTarget).stage_only.mean,
            split_saving({{grown(160 * kBillion, 1), scratch(160 * kBillion)}}, kTarget).stage_only.mean);
}

TEST(ComputeSplit, AimsAtTheBestLossThatAllRunsReach) {
  const std::vector<PairOfRuns> pairs = {{grown(160 * kBillion, 1), scratch(150 * kBillion)},
                                         {grown(140 * kBillion, 0.9), scratch(160 * kBillion)}};
  EXPECT_EQ(split_saving(pairs, std::nullopt).target_loss, pairs[1].run.curve.back().loss);
}

TEST(ComputeSplit, IsABoundWhereTheBaselineNeverArrives) {
  const PricedRun run = grown(160 * kBillion, 1);
  const ComputeSplit split = split_saving({{run, scratch(110 * kBillion)}}, kTarget);
  const ComputeSplit longer = split_saving({{run, scratch(120 * kBillion)}}, kTarget);
  const ComputeSplit exact = split_saving({{run, scratch(130 * kBillion)}}, kTarget);
  EXPECT_EQ(split.kind, Saving::Kind::kAtLeast);
  EXPECT_EQ(exact.kind, Saving::Kind::kExact);
  EXPECT_LT(split.saved.mean, longer.saved.mean);
  EXPECT_LT(longer.saved.mean, exact.saved.mean);
  EXPECT_LT(split.quality.mean, longer.quality.mean);
  EXPECT_LT(longer.quality.mean, exact.quality.mean);
  EXPECT_GT(split.accounting.mean, longer.accounting.mean);
  EXPECT_NEAR(split.saved.mean, split.accounting.mean + split.quality.mean, kSplitRounding);
  EXPECT_TRUE(split.saved.has_interval());
  EXPECT_FALSE(split.quality.has_interval());
}

TEST(ComputeSplit, HasNoIntervalOverPairsOfWhichOneIsABound) {
  const ComputeSplit split = split_saving({{grown(160 * kBillion, 1), scratch(160 * kBillion)},
                                           {grown(160 * kBillion, 0.9), scratch(160 * kBillion)},
                                           {grown(160 * kBillion, 1), scratch(120 * kBillion)}},
                                          kTarget);
  EXPECT_EQ(split.kind, Saving::Kind::kAtLeast);
  EXPECT_EQ(split.saved.n, 3);
  EXPECT_FALSE(split.saved.has_interval() || split.accounting.has_interval() || split.quality.has_interval());
  EXPECT_EQ(split.noise, ComputeSplit::Noise::kNone);
}

TEST(ComputeSplit, SaysWhyThereIsNone) {
  const PricedRun run = grown(160 * kBillion, 1), early = grown(110 * kBillion, 1), other = scratch(160 * kBillion);
  EXPECT_EQ(split_saving({{early, other}}, kTarget).reason, "not reached");
  const ComputeSplit split = split_saving({{run, other}, {early, other}}, kTarget);
  EXPECT_EQ(split.kind, Saving::Kind::kUndetermined);
  EXPECT_EQ(split.reason, "not reached (pair 2 of 2)");
  EXPECT_TRUE(std::isnan(split.saved.mean));
  EXPECT_EQ(split_saving({{{run.curve, {}}, other}}, kTarget).reason, "nothing is committed yet");
}

// A pair whose losses are off by what the two seeds make of them: in all evaluations of a run alike.
PairOfRuns shifted_pair(double run_shift, double baseline_shift, double loss_se) {
  PairOfRuns pair{grown(180 * kBillion, 0.9, 5 * kBillion), scratch(180 * kBillion, 5 * kBillion)};
  for (CurvePoint& point : pair.run.curve) point = {point.flops, point.loss + run_shift, loss_se};
  for (CurvePoint& point : pair.baseline.curve) point = {point.flops, point.loss + baseline_shift, loss_se};
  return pair;
}

TEST(ComputeSplit, OfOnePairHasTheIntervalsOfEvaluationNoise) {
  const PairOfRuns pair = shifted_pair(0, 0, 0.001);
  const ComputeSplit split = split_saving({pair}, kTarget);
  EXPECT_EQ(split.noise, ComputeSplit::Noise::kEvaluation);
  const Saving saving = compute_saved(pair.run.curve, pair.baseline.curve, kTarget);
  EXPECT_EQ(split.saved.low, saving.low);
  EXPECT_EQ(split.saved.high, saving.high);
  EXPECT_LT(split.saved.low, split.saved.mean);
  // The share of tokens saved, 1 - D_r / D_b = 1 - 140 / 130: its logarithm's sd is sqrt(D_r'^2 + D_b'^2), D' = se /
  // slope per e-fold of the tokens that count, b B D^-b = 0.0656 for both, of which the run's are 130 of 140.
  const double per_fold = 0.3658 * 2085.43 * std::pow(130 * kBillion, -0.3658);
  const double sd = 0.001 / per_fold * std::hypot(130.0 / 130.0, 140.0 / 130.0);
  // A tenth of the half width: quantiles of 2000 draws (4 standard errors are 15 % of an sd), curvature.
  EXPECT_NEAR(split.quality.high - split.quality.mean, 1.96 * sd, 0.2 * sd);
  EXPECT_NEAR(split.quality.mean - split.quality.low, 1.96 * sd, 0.2 * sd);
  EXPECT_EQ(split_saving({shifted_pair(0, 0, std::nan(""))}, kTarget).noise, ComputeSplit::Noise::kNone);
}

TEST(ComputeSplit, LeavesAnEndOpenWhereNoiseMayHideTheCrossing) {
  PairOfRuns pair = shifted_pair(0, 0, 0.01);
  const ComputeSplit split = split_saving({pair}, pair.run.curve.back().loss);
  EXPECT_EQ(split.kind, Saving::Kind::kExact);
  EXPECT_TRUE(std::isinf(split.quality.low));
  EXPECT_TRUE(std::isinf(split.saved.low));
}

TEST(ComputeSplit, OfSeveralPairsHasStudentsIntervals) {
  const std::vector<PairOfRuns> pairs = {shifted_pair(0.001, 0, 0.001), shifted_pair(0, 0.002, 0.001),
                                         shifted_pair(-0.002, 0, 0.001)};
  const ComputeSplit split = split_saving(pairs, kTarget);
  EXPECT_EQ(split.noise, ComputeSplit::Noise::kSeeds);
  std::vector<double> quality, stage_only;
  for (const PairOfRuns& pair : pairs) {
    quality.push_back(split_saving({pair}, kTarget).quality.mean);
    stage_only.push_back(split_saving({pair}, kTarget).stage_only.mean);
  }
  EXPECT_EQ(split.quality.low, mean_interval(quality).low);
  EXPECT_EQ(split.stage_only.high, mean_interval(stage_only).high);
  EXPECT_EQ(split.saved.n, 3);
}

TEST(ComputeSplit, OfSeveralPairsCoversThePlantedPartsAsOftenAsItSays) {
  constexpr int kDraws = 2000;
  constexpr double kSeedSd = 0.002;
  const RandomStream noise(21, "split coverage");
  const ComputeSplit planted = split_saving({shifted_pair(0, 0, 0)}, kTarget);
  uint64_t index = 0;
  for (const int seeds : {3, 5, 10}) {
    int saved = 0, accounting = 0, quality = 0, stage_only = 0;
    const auto holds = [](const Interval& interval, const Interval& truth) {
      return interval.low <= truth.mean && truth.mean <= interval.high ? 1 : 0;
    };
    for (int draw = 0; draw < kDraws; ++draw) {
      std::vector<PairOfRuns> pairs;
      for (int seed = 0; seed < seeds; ++seed, index += 2)
        pairs.push_back(shifted_pair(kSeedSd * noise.normal(index), kSeedSd * noise.normal(index + 1), 0));
      const ComputeSplit split = split_saving(pairs, kTarget);
      saved += holds(split.saved, planted.saved);
      accounting += holds(split.accounting, planted.accounting);
      quality += holds(split.quality, planted.quality);
      stage_only += holds(split.stage_only, planted.stage_only);
    }
    // Four standard deviations of a share of 2000.
    for (const int covered : {saved, accounting, quality, stage_only})
      EXPECT_NEAR(covered / double{kDraws}, 0.95, 0.02) << seeds;
  }
}

TEST(StageCosts, TurnTokensIntoComputeAndBack) {
  const std::vector<StageCost> stages = {{10, 40, 2, false}, {20, 60, 5, true}};
  for (const auto& [tokens, flops] :
       {std::pair{0.0, 0.0}, {5.0, 20.0}, {10.0, 40.0}, {15.0, 50.0}, {20.0, 60.0}, {22.0, 70.0}}) {
    EXPECT_EQ(flops_at(stages, tokens), flops);
    EXPECT_EQ(tokens_at(stages, flops), tokens);
  }
}

TEST(PricedRun, TakesStagesWithAncestorsFromARunFolder) {
  const TempFolder folder;
  SyntheticRun run = grown_run("grown", "nexusformer", 400);
  run.inherited_tokens = 1 << 20;
  run.inherited_flops = 1e15;
  write_synthetic_run(run, folder.path());
  const RunHistory history = read_run(folder.path());
  const PricedRun priced = priced_run(history);
  ASSERT_EQ(priced.stages.size(), 2u);
  EXPECT_EQ(priced.stages[0].start_tokens, 1 << 20);
  EXPECT_EQ(priced.stages[0].start_flops, 1e15);
  EXPECT_FALSE(priced.stages[0].grown);
  EXPECT_TRUE(priced.stages[1].grown);
  EXPECT_EQ(priced.stages[1].flops_per_token, run.stages[1].flops_per_token);
  // The whole course of the run: every evaluation lies where the prices say. Sums of some hundred terms.
  for (const EvalRecord& row : history.evals)
    EXPECT_NEAR(flops_at(priced.stages, static_cast<double>(row.tokens)) / row.flops, 1, 1e-12);
}

TEST(PricedRun, HasNoStagesBeforeTheFirstCommit) {
  RunHistory run;
  run.stages.emplace_back();
  EXPECT_TRUE(priced_run(run).stages.empty());
  run.commits.emplace_back();
  EXPECT_EQ(priced_run(run).stages.size(), 1u);
}

}  // namespace
}  // namespace nexus
