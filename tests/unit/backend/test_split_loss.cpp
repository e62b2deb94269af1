// Cross entropy and embedding over slices of the vocabulary, as tensor-parallel ranks hold them, against the whole.
#include "unit/backend/backend_test.h"

namespace nexus::test {
namespace {

// Slices of a vocabulary: rank i holds tokens [ends[i - 1], ends[i]).
using Ends = std::vector<int64_t>;

struct Losses {
  Values losses, logits;  // logits as the operation leaves them
};

Losses run_whole(DType dtype, const Values& logits, const std::vector<int32_t>& targets, double grad_scale) {
  const int64_t rows = static_cast<int64_t>(targets.size()), width = static_cast<int64_t>(logits.size()) / rows;
  TestTensor data(device(), dtype, {rows, width}, logits), losses(device(), wide_of(dtype), {rows});
  device().run(ops::CrossEntropy{data, TestTensor(device(), targets), losses, grad_scale});
  return {losses.values(), data.values()};
}

// Every rank's half, the statistics gathered in rank order, then every rank's other half.
Losses run_split(DType dtype, const Values& logits, const std::vector<int32_t>& targets, double grad_scale,
                 const Ends& ends) {
  const int64_t rows = static_cast<int64_t>(targets.size()), width = ends.back();
  const int64_t ranks = static_cast<int64_t>(ends.size());
  const TestTensor ids(device(), targets);
  const auto begin = [&](int64_t rank) { return rank == 0 ? 0 : ends[static_cast<size_t>(rank - 1)]; };
  const auto end = [&](int64_t rank) { return ends[static_cast<size_t>(rank)]; };
  const auto slice = [&](int64_t rank) {
    return TestTensor(device(), dtype, {rows, end(rank) - begin(rank)}, columns(logits, width, begin(rank), end(rank)));
  };
  TestTensor stats(device(), wide_of(dtype), {ranks, rows, 3});
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const Tensor own = stats.tensor().flat(rank * rows * 3, rows * 3).reshaped({rows, 3});
    device().run(ops::CrossEntropyStats{slice(rank), ids, begin(rank), own});
  }
  Losses result{{}, Values(logits.size())};
  std::vector<char> bits;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const TestTensor data = slice(rank);
    TestTensor losses(device(), wide_of(dtype), {rows});
    device().run(ops::CrossEntropyFrom{data, ids, begin(rank), stats, losses, grad_scale});
    set_columns(result.logits, width, begin(rank), end(rank), data.values());
    if (rank == 0) {
      result.losses = losses.values();
      bits = losses.raw();
    }
    EXPECT_EQ(losses.raw(), bits) << "ranks disagree on the losses";
  }
  return result;
}

const std::vector<Ends> kCuts = {{1003}, {500, 1003}, {1, 1003}, {17, 300, 301, 1003}};

class SplitLossTest : public EveryType {
 protected:
  // log sum exp of magnitude up to 15 minus a logit of that size: roundings of 1e-6.
  double absolute() const { return dtype() == DType::kF64 ? 1e-13 : 4e-6; }
};

TEST_P(SplitLossTest, SlicesGiveTheLossesAndGradientsOfTheWhole) {
  const Values logits = random(21 * 1003, 3.0);
  std::vector<int32_t> targets = random_ids(21, 1003);
  targets[0] = 0;  // the first and the last token of slices of kCuts
  targets[1] = 1002;
  targets[2] = 300;
  targets[3] = -1;
  for (const Ends& ends : kCuts) {
    SCOPED_TRACE(::testing::Message() << ends.size() << " ranks, the first to " << ends[0]);
    const auto loops = reference::cross_entropy(logits, targets, 1003, 0.25);
    const Losses plain = run_split(dtype(), logits, targets, 0.0f, ends);
    EXPECT_EQ(plain.logits, logits) << "logits without a gradient";
    const Losses split = run_split(dtype(), logits, targets, 0.25f, ends);
    EXPECT_EQ(split.losses, plain.losses);
    for (const Losses& expected : {run_whole(dtype(), logits, targets, 0.25f), Losses{loops.losses, loops.gradient}}) {
      expect_close(split.losses, expected.losses, wide_relative(), absolute(), "losses");
      expect_close(split.logits, expected.logits, relative(), absolute(), "gradient");
    }
    EXPECT_EQ(split.losses[3], 0.0);
    EXPECT_EQ(Values(split.logits.begin() + 3 * 1003, split.logits.begin() + 4 * 1003), Values(1003, 0.0));
  }
}

TEST_P(SplitLossTest, StatisticsMatchTheLoops) {
  const Values logits = random(9 * 37, 3.0);
  const std::vector<int32_t> targets = {100, 136, 99, 137, -1, 0, 118, 2147483647, 101};
  TestTensor stats(device(), wide(), {9, 3});
  device().run(ops::CrossEntropyStats{TestTensor(device(), dtype(), {9, 37}, logits), TestTensor(device(), targets),
                                      100, stats});
  const Values expected = reference::cross_entropy_stats(logits, targets, 37, 100);
  expect_close(stats.values(), expected, wide_relative(), 0, "stats");
  for (size_t i = 0; i < expected.size(); ++i) {
    if (i % 3 == 1) continue;
    EXPECT_EQ(stats.values()[i], expected[i]) << "maxima and targets are copies";
  }
}

// exp of these, of their differences, or of a slice's maximum against another's overflows or vanishes.
TEST_P(SplitLossTest, LargeLogitsDoNotOverflow) {
  const double large = rounded(dtype(), 1e30);
  const Values logits = {large,  0,      1,      2,     -large, 3,       //
                         -large, -large, -large, 5,     5,      -large,  //
                         1000,   1000,   1000,   1000,  1000,   1000,    //
                         -1000,  -1000,  -1000,  -1000, -1000,  -1000};
  const std::vector<int32_t> targets = {0, 3, 5, 0};
  for (const Ends& ends : std::vector<Ends>{{6}, {3, 6}, {1, 2, 3, 6}}) {
    const Losses split = run_split(dtype(), logits, targets, 1.0f, ends);
    // Roundings of 1000 + log 6 in f32: half a step is 3e-5.
    expect_close(split.losses, {0, std::log(2.0), std::log(6.0), std::log(6.0)}, 1e-6, 4e-5, "losses");
    const auto expected = reference::cross_entropy(logits, targets, 6, 1.0);
    // An error of 4e-5 in log sum exp is one of 4e-5 in a probability.
    expect_close(split.logits, expected.gradient, relative(), 4e-5, "gradient");
  }
}

TEST_P(SplitLossTest, ASliceOfMinusInfinityHasNoPart) {
  const double none = -std::numeric_limits<double>::infinity();
  const Values logits = {1, 2, 3, none, none, none}, expected = {1, 2, 3};
  const Losses split = run_split(dtype(), logits, {1}, 1.0f, {3, 6});
  const auto loops = reference::cross_entropy(expected, {1}, 3, 1.0);
  expect_close(split.losses, loops.losses, wide_relative(), 0, "losses");
  expect_close(columns(split.logits, 6, 0, 3), loops.gradient, relative(), absolute(), "gradient");
  EXPECT_EQ(columns(split.logits, 6, 3, 6), Values(3, 0.0));
}

TEST_P(SplitLossTest, NanInASliceIsSeenInTheRowsLoss) {
  Values logits = random(60);
  logits[40] = std::numeric_limits<double>::quiet_NaN();
  for (const Ends& ends : std::vector<Ends>{{15, 30}, {5, 30}, {10, 11, 30}}) {
    const Losses split = run_split(dtype(), logits, {3, 3}, 1.0f, ends);
    EXPECT_FALSE(std::isnan(split.losses[0]));
    EXPECT_TRUE(std::isnan(split.losses[1]));
  }
}

TEST_P(SplitLossTest, EmbeddingSlicesAddUpToTheWhole) {
  constexpr int64_t kVocabulary = 23, kTokens = 70, kWidth = 83;
  const Values table = random(kVocabulary * kWidth), gradient = random(kTokens * kWidth);
  const Values before = random_values(kVocabulary * kWidth);
  const TestTensor tokens(device(), random_ids(kTokens, kVocabulary));
  const TestTensor weight(device(), dtype(), {kVocabulary, kWidth}, table);
  const TestTensor dout(device(), dtype(), {kTokens, kWidth}, gradient);
  TestTensor out(device(), dtype(), {kTokens, kWidth}), part(device(), dtype(), {kTokens, kWidth});
  TestTensor sum(device(), dtype(), {kTokens, kWidth}, Values(kTokens * kWidth, 0.0));
  TestTensor dweight(device(), wide(), {kVocabulary, kWidth}, before),
      slices(device(), wide(), {kVocabulary, kWidth}, before);
  device().run(ops::EmbeddingForward{tokens, weight, 0, out});
  device().run(ops::EmbeddingBackward{tokens, dout, 0, dweight});
  for (const auto& [begin, end] : std::vector<std::pair<int64_t, int64_t>>{{0, 9}, {9, 10}, {10, 23}}) {
    device().run(ops::EmbeddingForward{tokens, weight.tensor().rows(begin, end - begin), begin, part});
    device().run(ops::Add{part, sum});  // zeros from all slices but one: exact
    device().run(ops::EmbeddingBackward{tokens, dout, begin, slices.tensor().rows(begin, end - begin)});
  }
  EXPECT_EQ(sum.values(), out.values());
  EXPECT_EQ(slices.raw(), dweight.raw());  // the same sums in the same order
}

NX_FOR_EVERY_TYPE(SplitLossTest);

TEST(SplitLoss, GradientIsTheSlopeOfTheLoss) {
  NX_NEEDS_F64();
  constexpr int64_t kRows = 3, kWidth = 13;
  const Values logits = random_values(kRows * kWidth);
  const std::vector<int32_t> targets = {5, -1, 12};
  const Ends ends = {4, 6, 13};
  const auto loss = [&](const Values& x) {
    return dot(run_split(DType::kF64, x, targets, 0.0f, ends).losses, Values(kRows, 0.5));
  };
  expect_gradient(run_split(DType::kF64, logits, targets, 0.5f, ends).logits, logits, loss, "dlogits");
}

}  // namespace
}  // namespace nexus::test
