// Embedding, norms on the residual stream, and the head.
#include <gtest/gtest.h>

#include "layers/embedding.h"
#include "layers/head.h"
#include "layers/row_norm.h"
#include "support/text_batch.h"
#include "unit/layers/layer_rig.h"

namespace nexus {
namespace {

using testing::dot;
using testing::GradientCheck;
using testing::HostTensor;
using testing::LayerRig;
using testing::nan_tensor;
using testing::random_tensor;

constexpr int64_t kWidth = 7;

void check_norm(const std::string& weight_name, RowNormKind kind) {
  ParamTable table;
  RowNormLayer norm(table, weight_name, kWidth, {kind, 1e-5f});
  LayerRig rig(table, 2, 3);
  HostTensor x = random_tensor("x", {6, kWidth}), pending = random_tensor("pending", {6, kWidth});
  HostTensor c = random_tensor("cotangent", {6, kWidth}), y = nan_tensor({6, kWidth});
  // The stream adds in place, so the value works on copies.
  const auto forward = [&](HostTensor& x_copy, HostTensor& pending_copy) {
    ResidualStream stream{x_copy.view(), pending_copy.view()};
    norm.forward(rig.context(), stream, y.view());
    EXPECT_FALSE(stream.pending.defined());
  };
  const auto value = [&] {
    const Arena::Frame frame(rig.arena());
    HostTensor x_copy = x, pending_copy = pending;
    forward(x_copy, pending_copy);
    return dot(y, c);
  };
  const Arena::Frame frame(rig.arena());
  HostTensor x_copy = x, pending_copy = pending;
  forward(x_copy, pending_copy);
  // dx arrives with the gradient of the residual path and leaves with the norm's added.
  HostTensor dx({6, kWidth}, std::vector<double>(6 * kWidth, 0.25));
  norm.backward(rig.context(), c.view(), dx.view());
  for (int64_t i = 0; i < dx.count(); ++i) dx.data()[i] -= 0.25;

  GradientCheck check(value);
  check.expect("x", x.data(), dx.data(), x.count());
  check.expect("pending", pending.data(), dx.data(), x.count());
  rig.expect_param_gradients(check);
}

TEST(RowNormLayer, AsRmsNormHasExactGradients) {
  check_norm("norm.weight", RowNormKind::kRms);
}
TEST(RowNormLayer, AsLayerNormHasExactGradients) {
  check_norm("norm.weight", RowNormKind::kLayer);
}
TEST(RowNormLayer, WithoutWeightHasExactGradientsAndNoParameter) {
  check_norm("", RowNormKind::kLayer);
}

TEST(RowNormLayer, LeavesTheSameStreamInTrainingAndEvaluation) {
  ParamTable table;
  RowNormLayer norm(table, "norm.weight", kWidth, {});
  LayerRig rig(table, 1, 4);
  const auto output_of = [&](Pass pass) {
    HostTensor x = random_tensor("x", {4, kWidth}), pending = random_tensor("pending", {4, kWidth}),
               y = nan_tensor({4, kWidth});
    ResidualStream stream{x.view(), pending.view()};
    norm.forward(rig.context(pass), stream, y.view());
    return std::vector<double>(stream.x.as<double>(), stream.x.as<double>() + stream.x.count());
  };
  EXPECT_EQ(output_of(Pass::kTraining), output_of(Pass::kEvaluation));
}

TEST(RowNormLayer, KeepsItsInputForTheNextNormInTraining) {
  // The second norm's sum must not overwrite what the first norm's backward pass reads.
  ParamTable table;
  RowNormLayer norm(table, "norm.weight", kWidth, {});
  LayerRig rig(table, 1, 4);
  HostTensor x = random_tensor("x", {4, kWidth}), pending = random_tensor("pending", {4, kWidth}),
             y = nan_tensor({4, kWidth});
  const std::vector<double> before = x.values();
  ResidualStream stream{x.view(), pending.view()};
  norm.forward(rig.context(), stream, y.view());
  EXPECT_EQ(x.values(), before);
}

TEST(Embedding, SumsTheGradientsOfRepeatedTokens) {
  ParamTable table;
  const Embedding embedding(table, "embed.weight", 5, kWidth);
  LayerRig rig(table, 1, 6);
  const HostBatch text(embedding.fields(6), 1);
  const std::vector<int32_t> tokens = {1, 4, 1, 0, 1, 4};  // 2 and 3 never occur
  std::copy(tokens.begin(), tokens.end(), text.batch().at("tokens").as<int32_t>());
  HostTensor c = random_tensor("cotangent", {6, kWidth}), out = nan_tensor({6, kWidth});
  embedding.backward(rig.context(), text.batch(), c.view());
  GradientCheck check([&] {
    embedding.forward(rig.context(), text.batch(), out.view());
    return dot(out, c);
  });
  rig.expect_param_gradients(check);
}

class HeadTest : public ::testing::Test {
 protected:
  // More rows than one chunk and not a multiple of it.
  static constexpr int64_t kRows = 1024 + 37, kVocab = 5, kWidth = 3;
  ParamTable table_;
  Head head_{table_, "head.weight", kVocab, kWidth};
  LayerRig rig_{table_, 1, kRows};
  HostTensor x_ = random_tensor("x", {kRows, kWidth});
  HostTensor losses_ = nan_tensor({kRows});
  HostBatch text_ = testing::text_batch(kVocab, 1, kRows);
  int32_t* targets_ = text_.batch().at("targets").as<int32_t>();

  double evaluated_sum() {
    head_.evaluate(rig_.context(Pass::kEvaluation), x_.view(), text_.batch(), losses_.view());
    double sum = 0;
    for (const double loss : losses_.values()) sum += loss;
    return sum;
  }
};

TEST_F(HeadTest, HasExactGradientsAcrossChunks) {
  constexpr float kScale = 0.125f;  // exact in binary, so it adds no rounding
  HostTensor gradient = x_;
  head_.forward_backward(rig_.context(), gradient.view(), text_.batch(), kScale, losses_.view());
  GradientCheck check([&] { return kScale * evaluated_sum(); });
  check.expect("x", x_.data(), gradient.data(), x_.count());
  rig_.expect_param_gradients(check);
}

TEST_F(HeadTest, GivesTheSameLossesInTrainingAndEvaluation) {
  evaluated_sum();
  const std::vector<double> evaluated = losses_.values();
  head_.forward_backward(rig_.context(), x_.view(), text_.batch(), 1.0f, losses_.view());
  EXPECT_EQ(losses_.values(), evaluated);
}

TEST_F(HeadTest, TellsOfEveryRowWhatItsLossIsMadeOf) {
  evaluated_sum();
  const LayerContext ctx = rig_.context(Pass::kEvaluation);
  HostTensor stats = nan_tensor({1, kRows, 3}), logits = nan_tensor({1, kRows * kVocab});
  head_.softmax_statistics(ctx, x_.view(), text_.batch(), stats.view());
  head_.predict(ctx, x_.view(), text_.batch(), logits.view());
  for (size_t row = 0; row < kRows; ++row) {
    const double* logit = logits.data() + row * kVocab;
    const double highest = stats.data()[row * 3], sum = stats.data()[row * 3 + 1], target = stats.data()[row * 3 + 2];
    EXPECT_EQ(highest, *std::max_element(logit, logit + kVocab)) << row;
    EXPECT_EQ(target, logit[targets_[row]]) << row;
    EXPECT_NEAR(highest + std::log(sum) - target, losses_.values()[row], 1e-14) << row;  // a few units of 1
  }
}

TEST_F(HeadTest, IgnoresTargetsOfMinusOne) {
  targets_[3] = -1;
  head_.forward_backward(rig_.context(), x_.view(), text_.batch(), 1.0f, losses_.view());
  EXPECT_EQ(losses_.values()[3], 0.0);
  for (int64_t j = 0; j < kWidth; ++j) EXPECT_EQ(x_.data()[3 * kWidth + j], 0.0);
}

TEST_F(HeadTest, GivesLogitsWhoseSoftmaxIsTheLoss) {
  HostTensor logits = nan_tensor({kRows, kVocab});
  head_.predict(rig_.context(Pass::kEvaluation), x_.view(), text_.batch(), logits.view());
  evaluated_sum();
  for (int64_t r = 0; r < kRows; r += 100) {
    double sum = 0;
    for (int64_t j = 0; j < kVocab; ++j) sum += std::exp(logits.data()[r * kVocab + j]);
    const double expected = std::log(sum) - logits.data()[r * kVocab + targets_[r]];
    EXPECT_NEAR(losses_.values()[static_cast<size_t>(r)], expected, 1e-13);  // f64 rounding of five terms
  }
}

}  // namespace
}  // namespace nexus
