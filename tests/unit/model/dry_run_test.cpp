// The plan's figures are the run's figures.
#include "model/dry_run.h"

#include <gtest/gtest.h>

#include "support/grid_models.h"
#include "support/model_rig.h"
#include "support/tiny_models.h"

namespace nexus {
namespace {

using testing::ModelRig;
using testing::NamedModel;

class EveryDryRun : public ::testing::TestWithParam<NamedModel> {};

INSTANTIATE_TEST_SUITE_P(Models, EveryDryRun, ::testing::ValuesIn(testing::tiny_models()),
                         [](const auto& model) { return model.param.name; });

// The peak of a real run in an arena that holds twice what it should need.
int64_t real_peak(const ModelConfig& config, DType compute, ModelUse use, Recompute recompute) {
  ModelRig rig(config, compute, 2, 5, recompute);
  rig.arena() = testing::poisoned_arena(2 * dry_run(config, compute, 2, 5, ModelUse::kTraining).arena_bytes);
  if (use == ModelUse::kTraining) rig.forward_backward();
  if (use == ModelUse::kEvaluation) rig.evaluate();
  if (use == ModelUse::kPrediction) rig.logits();
  EXPECT_EQ(rig.arena().used_bytes(), 0);
  return rig.arena().peak_bytes();
}

TEST_P(EveryDryRun, KnowsTheExactBytesOfTheRealRun) {
  for (const DType compute : {DType::kF64, DType::kF32, DType::kBF16})
    for (const ModelUse use : {ModelUse::kTraining, ModelUse::kEvaluation, ModelUse::kPrediction})
      for (const Recompute recompute : {Recompute::kNone, Recompute::kActivations})
        EXPECT_EQ(dry_run(GetParam().config, compute, 2, 5, use, {}, recompute).arena_bytes,
                  real_peak(GetParam().config, compute, use, recompute))
            << name_of(compute) << " recompute " << name_of(recompute);
}

// Every activation is computed from the same numbers by the same operation: no bit may differ.
TEST_P(EveryDryRun, RecomputingActivationsChangesNoBit) {
  for (const DType compute : {DType::kF64, DType::kF32, DType::kBF16}) {
    ModelRig keeping(GetParam().config, compute),
        recomputing(GetParam().config, compute, 2, 5, Recompute::kActivations);
    for (ModelRig* rig : {&keeping, &recomputing}) rig->forward_backward(0.125f);
    EXPECT_EQ(keeping.losses(), recomputing.losses()) << name_of(compute);
    EXPECT_EQ(keeping.gradients(), recomputing.gradients()) << name_of(compute);
  }
}

TEST_P(EveryDryRun, RecomputingActivationsTakesLessMemoryAndAsManyProducts) {
  const DryRun keeping = dry_run(GetParam().config, DType::kBF16, 2, 64, ModelUse::kTraining);
  const DryRun recomputing =
      dry_run(GetParam().config, DType::kBF16, 2, 64, ModelUse::kTraining, {}, Recompute::kActivations);
  EXPECT_LT(recomputing.arena_bytes, keeping.arena_bytes);
  EXPECT_EQ(recomputing.matmul_flops, keeping.matmul_flops);
  EXPECT_EQ(recomputing.attention_flops, keeping.attention_flops);
}

// `gemm_causal` (accounting/flops.h): 2 per element of every matrix but the embedding, 2 V D for the head, 2 T D per
// layer for causal attention; three times that for training.
double forward_flops_per_token(const ModelConfig& config, int64_t context) {
  const Model model(config);
  double elements = static_cast<double>(config.count("V") * config.d);
  for (const ParamSpec& spec : model.table())
    if (spec.axes.size() == 2 && spec.name != "embed.weight" && spec.name != "head.weight")
      elements += static_cast<double>(spec.count());
  return 2 * elements + static_cast<double>(2 * context * config.d * config.layers);
}

TEST_P(EveryDryRun, CountsTheFlopsOfTheFormula) {
  const ModelConfig& config = GetParam().config;
  const double forward = 10 * forward_flops_per_token(config, 5);
  const DryRun training = dry_run(config, DType::kBF16, 2, 5, ModelUse::kTraining);
  const DryRun evaluation = dry_run(config, DType::kBF16, 2, 5, ModelUse::kEvaluation);
  EXPECT_EQ(training.matmul_flops + training.attention_flops, 3 * forward);
  EXPECT_EQ(evaluation.matmul_flops + evaluation.attention_flops, forward);
}

TEST(DryRun, MatchesTheDesignsFigureForN240) {
  // The formula above gives 1.582 GFLOP per token, forward and backward, at context 4096.
  ModelConfig config;
  config.counts["M"] = 1024;
  config.counts["A"] = 1280;
  const DryRun run = dry_run(config, DType::kBF16, 1, 4096, ModelUse::kTraining);
  EXPECT_NEAR((run.matmul_flops + run.attention_flops) / 4096, 1.582e9, 0.0005e9);  // the figure's last digit
}

// The difference between the two arenas is the activations, neither more nor less: 295 KB per token of the N240 shape,
// of the 756 that the design counts for all that is kept.
TEST(DryRun, OfALayerOfN240DropsItsActivations) {
  const auto bytes_per_layer = [](Recompute recompute) {
    ModelConfig config;
    config.counts["M"] = 1024;
    config.counts["A"] = 1280;
    const auto bytes = [&](int64_t layers) {
      config.layers = layers;
      return dry_run(config, DType::kBF16, 1, 4096, ModelUse::kTraining, {}, recompute).arena_bytes;
    };
    return static_cast<double>(bytes(12) - bytes(11)) / 4096;
  };
  // a1 and a2 of q, k, v and o, 1024 and 1280 wide, and of the MLP, 1024 and 2048; 2 bytes each.
  const double activations = 2.0 * (4 * (1024 + 1280) + 1024 + 2048);
  EXPECT_EQ(bytes_per_layer(Recompute::kNone) - bytes_per_layer(Recompute::kActivations), activations);
  EXPECT_NEAR(12 * activations, 756e3 - 461e3, 1e3);
}

TEST(DryRun, OfAnEvaluationDoesNotGrowWithDepth) {
  ModelConfig shallow = testing::tiny_config("nexusformer"), deep = shallow;
  deep.layers = 8;
  EXPECT_EQ(dry_run(shallow, DType::kF32, 2, 64, ModelUse::kEvaluation).arena_bytes,
            dry_run(deep, DType::kF32, 2, 64, ModelUse::kEvaluation).arena_bytes);
}

TEST(DryRun, OfTrainingGrowsByTheSameBytesForEveryLayer) {
  const auto bytes = [](int64_t layers) {
    ModelConfig config = testing::tiny_config("nexusformer");
    config.layers = layers;
    return dry_run(config, DType::kF32, 2, 64, ModelUse::kTraining).arena_bytes;
  };
  EXPECT_EQ(bytes(3) - bytes(2), bytes(2) - bytes(1));
  EXPECT_GT(bytes(2), bytes(1));
}

// Cutting a model moves work, it makes none: the ranks' products add up to those of one rank.
TEST(DryRunOfAGrid, RanksShareTheFlopsOfTheWhole) {
  for (const NamedModel& model : testing::divisible_models()) {
    const DryRun whole = dry_run(model.config, DType::kF32, 2, 12, ModelUse::kTraining);
    for (const int tp : {2, 4}) {
      double matmul = 0, attention = 0;
      for (int rank = 0; rank < tp; ++rank) {
        const DryRun share =
            dry_run(model.config, DType::kF32, 2, 12, ModelUse::kTraining, {rank, tp, 0, 1, false, true});
        matmul += share.matmul_flops;
        attention += share.attention_flops;
        EXPECT_LT(share.arena_bytes, whole.arena_bytes) << model.name;
      }
      EXPECT_EQ(matmul, whole.matmul_flops) << model.name << " tp " << tp;
      EXPECT_EQ(attention, whole.attention_flops) << model.name << " tp " << tp;
    }
  }
}

}  // namespace
}  // namespace nexus
