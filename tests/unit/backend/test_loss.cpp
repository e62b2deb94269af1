#include "unit/backend/backend_test.h"

namespace nexus::test {
namespace {

class LossTest : public EveryType {};

TEST_P(LossTest, LossesAndGradientsMatchTheLoops) {
  for (const auto& [rows, width] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {1, 37}, {9, 64}, {21, 1003}}) {
    const Values logits = random(rows * width, 3.0);
    std::vector<int32_t> targets = random_ids(rows, width);
    if (rows > 4) targets[3] = -1;
    TestTensor data(device(), dtype(), {rows, width}, logits), losses(device(), wide(), {rows});
    const TestTensor ids(device(), targets);
    const auto expected = reference::cross_entropy(logits, targets, width, 1.0 / 3);
    device().run(ops::CrossEntropy{data, ids, losses, 0.0f});
    // log sum exp of magnitude up to 15 minus a logit of that size: roundings of 1e-6.
    const double absolute = dtype() == DType::kF64 ? 1e-13 : 4e-6;
    expect_close(losses.values(), expected.losses, wide_relative(), absolute, "losses without a gradient");
    expect_close(data.values(), logits, 0, 0, "logits without a gradient");
    device().run(ops::CrossEntropy{data, ids, losses, 1.0 / 3});  // no float: f64 sees it whole
    expect_close(losses.values(), expected.losses, wide_relative(), absolute, "losses");
    expect_close(data.values(), expected.gradient, relative(), absolute, "gradient");
  }
}

TEST_P(LossTest, IgnoredTargetsGiveExactZeros) {
  TestTensor logits(device(), dtype(), {2, 30}, random(60)), losses(device(), wide(), {2});
  device().run(ops::CrossEntropy{logits, TestTensor(device(), {-1, -1}), losses, 1.0f});
  EXPECT_EQ(losses.values(), Values(2, 0.0));
  EXPECT_EQ(logits.values(), Values(60, 0.0));
}

TEST_P(LossTest, NanInARowIsSeenInItsLoss) {
  Values values = random(60);
  values[40] = std::numeric_limits<double>::quiet_NaN();
  TestTensor logits(device(), dtype(), {2, 30}, values), losses(device(), wide(), {2});
  device().run(ops::CrossEntropy{logits, TestTensor(device(), {3, 3}), losses, 1.0f});
  EXPECT_FALSE(std::isnan(losses.values()[0]));
  EXPECT_TRUE(std::isnan(losses.values()[1]));
}

TEST_P(LossTest, EmbeddingMatchesTheLoops) {
  constexpr int64_t kVocabulary = 11, kTokens = 70, kWidth = 83;
  const Values table = random(kVocabulary * kWidth), gradient = random(kTokens * kWidth);
  const Values before = random_values(kVocabulary * kWidth);
  const std::vector<int32_t> ids = random_ids(kTokens, kVocabulary);
  const TestTensor tokens(device(), ids);
  TestTensor out(device(), dtype(), {kTokens, kWidth}), dweight(device(), wide(), {kVocabulary, kWidth}, before);
  device().run(ops::EmbeddingForward{tokens, TestTensor(device(), dtype(), {kVocabulary, kWidth}, table), 0, out});
  device().run(ops::EmbeddingBackward{tokens, TestTensor(device(), dtype(), {kTokens, kWidth}, gradient), 0, dweight});
  Values expected_out, expected_gradient = before;
  for (int64_t i = 0; i < kTokens; ++i) {
    for (int64_t j = 0; j < kWidth; ++j) {
      const size_t at = static_cast<size_t>(ids[static_cast<size_t>(i)] * kWidth + j);
      expected_out.push_back(table[at]);
      expected_gradient[at] += gradient[static_cast<size_t>(i * kWidth + j)];
    }
  }
  expect_close(out.values(), expected_out, 0, 0, "out");
  expect_close(dweight.values(), expected_gradient, wide_relative(), sum_error(kTokens), "dweight");
}

NX_FOR_EVERY_TYPE(LossTest);

TEST(Loss, GradientIsTheSlopeOfTheLoss) {
  NX_NEEDS_F64();
  constexpr int64_t kRows = 3, kWidth = 13;
  const Values logits = random_values(kRows * kWidth);
  const TestTensor targets(device(), {5, -1, 12});
  TestTensor losses(device(), DType::kF64, {kRows});
  const auto loss = [&](const Values& x) {
    TestTensor data(device(), DType::kF64, {kRows, kWidth}, x);
    device().run(ops::CrossEntropy{data, targets, losses, 0.0f});
    return dot(losses.values(), Values(kRows, 0.5));
  };
  TestTensor gradient(device(), DType::kF64, {kRows, kWidth}, logits);
  device().run(ops::CrossEntropy{gradient, targets, losses, 0.5f});
  expect_gradient(gradient.values(), logits, loss, "dlogits");
}

TEST(Loss, TargetsOutsideTheVocabularyAndNegativeTokensAreRefused) {
  NX_CPU_ONLY("a GPU would have to wait for the kernel; the sampler has checked its tokens");
  TestTensor logits(device(), DType::kF32, {1, 8}), losses(device(), DType::kF32, {1}),
      out(device(), DType::kF32, {1, 4});
  const TestTensor weight(device(), DType::kF32, {8, 4});
  EXPECT_THROW(device().run(ops::CrossEntropy{logits, TestTensor(device(), {8}), losses, 0.0f}), Error);
  EXPECT_THROW(device().run(ops::CrossEntropy{logits, TestTensor(device(), {-2}), losses, 0.0f}), Error);
  EXPECT_THROW(device().run(ops::EmbeddingForward{TestTensor(device(), {-1}), weight, 0, out}), Error);
}

}  // namespace
}  // namespace nexus::test
