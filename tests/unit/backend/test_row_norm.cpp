#include "unit/backend/backend_test.h"

namespace nexus::test {
namespace {

struct RowNormSize {
  int64_t rows, width;
};
// 300 rows are more than one chunk of the dweight sum.
const std::vector<RowNormSize> kRowNormSizes = {{1, 1}, {1, 19}, {7, 64}, {300, 33}, {130, 257}};

class RowNormTest : public EveryType {
 protected:
  template <typename Check>
  void for_each_variant(const Check& check) {
    for (const RowNormSize& size : kRowNormSizes) {
      for (const RowNormKind kind : {RowNormKind::kRms, RowNormKind::kLayer}) {
        for (const bool weighted : {false, true}) {
          SCOPED_TRACE(::testing::Message() << size.rows << "x" << size.width << " rms " << (kind == RowNormKind::kRms)
                                            << " weighted " << weighted);
          // A large eps keeps the width-1 layer norm (deviation 0) well conditioned.
          check(RowNorm{kind, size.width == 1 ? 0.5 : 1e-6}, size, weighted);
        }
      }
    }
  }
};

TEST_P(RowNormTest, ForwardAddsThenNormalises) {
  for_each_variant([&](const RowNorm& op, const RowNormSize& size, bool weighted) {
    for (const bool add : {false, true}) {
      const int64_t count = size.rows * size.width;
      const Values x = random(count), delta = random(count), weight = random(size.width);
      TestTensor stream(device(), dtype(), {size.rows, size.width}, x);
      const TestTensor update(device(), dtype(), {size.rows, size.width}, delta);
      const TestTensor gain(device(), dtype(), {size.width}, weight);
      TestTensor y(device(), dtype(), {size.rows, size.width}), stats(device(), wide(), {size.rows, 2});
      device().run(ops::AddNormForward{op, stream, add ? update.tensor() : Tensor(),
                                       weighted ? gain.tensor() : Tensor(), y, stats});
      Values sum = x;
      for (size_t i = 0; i < sum.size(); ++i) sum[i] = rounded(dtype(), x[i] + (add ? delta[i] : 0.0));
      expect_close(stream.values(), sum, 0, 0, "x");
      const auto expected = reference::row_norm(op, sum, weighted ? weight : Values(), size.rows, size.width);
      // x - mean cancels: the rounding of the mean, of magnitude one, divided by a deviation of about one.
      expect_close(y.values(), expected.y, relative(), sum_error(size.width), "y");
      expect_close(stats.values(), expected.stats, wide_relative(), sum_error(size.width), "stats");
    }
  });
}

TEST_P(RowNormTest, BackwardAddsToBothGradients) {
  for_each_variant([&](const RowNorm& op, const RowNormSize& size, bool weighted) {
    const int64_t count = size.rows * size.width;
    const Values x = random(count), dy = random(count), weight = random(size.width), before = random(count);
    const Values dweight_before = random_values(size.width);
    TestTensor stream(device(), dtype(), {size.rows, size.width}, x);
    const TestTensor gradient(device(), dtype(), {size.rows, size.width}, dy);
    const TestTensor gain(device(), dtype(), {size.width}, weight);
    const Tensor optional_gain = weighted ? gain.tensor() : Tensor();
    TestTensor y(device(), dtype(), {size.rows, size.width}), stats(device(), wide(), {size.rows, 2});
    TestTensor dx(device(), dtype(), {size.rows, size.width}, before);
    TestTensor dweight(device(), wide(), {size.width}, dweight_before);
    device().run(ops::AddNormForward{op, stream, Tensor(), optional_gain, y, stats});
    device().run(
        ops::NormBackward{op, gradient, stream, optional_gain, stats, dx, weighted ? dweight.tensor() : Tensor()});
    auto expected = reference::row_norm_backward(op, dy, x, weighted ? weight : Values(), size.rows, size.width);
    for (size_t i = 0; i < before.size(); ++i) expected.dx[i] += before[i];
    for (size_t i = 0; i < dweight_before.size(); ++i) expected.dweight[i] += dweight_before[i];
    // Terms reach 1 / deviation * |w| * |dy|, about 30 in the tails of these inputs (narrow rows can be small).
    expect_close(dx.values(), expected.dx, relative(), 30 * sum_error(size.width), "dx");
    if (weighted)
      expect_close(dweight.values(), expected.dweight, wide_relative(), 30 * sum_error(size.rows), "dweight");
  });
}

NX_FOR_EVERY_TYPE(RowNormTest);

TEST(RowNorm, BackwardIsTheSlopeOfForward) {
  NX_NEEDS_F64();
  constexpr int64_t kRows = 4, kWidth = 7;
  for (const RowNormKind kind : {RowNormKind::kRms, RowNormKind::kLayer}) {
    const RowNorm op{kind, 1e-3f};
    const Values x = random_values(kRows * kWidth), weight = random_values(kWidth), dy = random_values(kRows * kWidth);
    TestTensor y(device(), DType::kF64, {kRows, kWidth}), stats(device(), DType::kF64, {kRows, 2});
    const auto loss = [&](const Values& input, const Values& gain) {
      TestTensor stream(device(), DType::kF64, {kRows, kWidth}, input);
      device().run(
          ops::AddNormForward{op, stream, Tensor(), TestTensor(device(), DType::kF64, {kWidth}, gain), y, stats});
      return dot(y.values(), dy);
    };
    loss(x, weight);
    TestTensor dx(device(), DType::kF64, {kRows, kWidth}, Values(kRows * kWidth, 0.0));
    TestTensor dweight(device(), DType::kF64, {kWidth}, Values(kWidth, 0.0));
    device().run(ops::NormBackward{op, TestTensor(device(), DType::kF64, {kRows, kWidth}, dy),
                                   TestTensor(device(), DType::kF64, {kRows, kWidth}, x),
                                   TestTensor(device(), DType::kF64, {kWidth}, weight), stats, dx, dweight});
    expect_gradient(
        dx.values(), x, [&](const Values& input) { return loss(input, weight); }, "dx");
    expect_gradient(
        dweight.values(), weight, [&](const Values& gain) { return loss(x, gain); }, "dweight");
  }
}

TEST(RowNorm, GradientOfTheWeightIsTheSameEveryTime) {
  constexpr int64_t kRows = 1000, kWidth = 192;
  const Shape shape = {kRows, kWidth};
  TestTensor x(device(), DType::kF32, shape, random_values(kRows * kWidth));
  const TestTensor dy(device(), DType::kF32, shape, random_values(kRows * kWidth));
  const TestTensor weight(device(), DType::kF32, {kWidth}, random_values(kWidth));
  TestTensor y(device(), DType::kF32, shape), stats(device(), DType::kF32, {kRows, 2});
  device().run(ops::AddNormForward{{}, x, Tensor(), weight, y, stats});
  std::vector<char> first;
  for_every_sharing_of_work([&](Backend& backend, const std::string& what) {
    TestTensor dx(backend, DType::kF32, shape, Values(kRows * kWidth, 0.0));
    TestTensor dweight(backend, DType::kF32, {kWidth}, Values(kWidth, 0.0));
    backend.run(ops::NormBackward{{}, dy, x, weight, stats, dx, dweight});
    if (first.empty()) first = dweight.raw();
    EXPECT_EQ(dweight.raw(), first) << what;
  });
}

// Heads inside packed rows, beside `ld - heads * head_dim` elements of somebody else; 300 tokens are more than one
// chunk.
struct HeadNormCase {
  HeadNorm op;
  int64_t tokens;
};
const std::vector<HeadNormCase> kHeadNormCases = {
    {{1, 1, 1, 0.5}, 1}, {{3, 4, 20}, 7}, {{2, 64, 192}, 300}, {{5, 19, 95}, 130}, {{1, 128, 300}, 40}};

// Every head is a row of its own; the weight of a head is every tokens-th row's.
struct Heads {
  Values x, weight;

  Heads(const HeadNormCase& c, const Values& packed, const Values& of_heads) {
    for (int64_t token = 0; token < c.tokens; ++token)
      for (int64_t j = 0; j < c.op.heads * c.op.head_dim; ++j)
        x.push_back(packed[static_cast<size_t>(token * c.op.ld + j)]);
    weight = of_heads;
  }
  Values head(const HeadNormCase& c, const Values& rows, int64_t h) const {
    return columns(rows, c.op.heads * c.op.head_dim, h * c.op.head_dim, (h + 1) * c.op.head_dim);
  }
};

class HeadNormTest : public EveryType {};

TEST_P(HeadNormTest, IsTheRmsNormOfEveryHeadAndTouchesNothingElse) {
  for (const HeadNormCase& c : kHeadNormCases) {
    const int64_t width = c.op.heads * c.op.head_dim;
    SCOPED_TRACE(::testing::Message() << c.tokens << " tokens, " << c.op.heads << " heads of " << c.op.head_dim);
    const Values before = random(c.tokens * c.op.ld), weight = random(width);
    const TestTensor gain(device(), dtype(), {width}, weight);
    const Heads heads(c, before, weight);
    Values expected = before;
    for (int64_t h = 0; h < c.op.heads; ++h) {
      const Values of_head(weight.begin() + h * c.op.head_dim, weight.begin() + (h + 1) * c.op.head_dim);
      const Values y = reference::row_norm({RowNormKind::kRms, c.op.eps}, heads.head(c, heads.x, h), of_head, c.tokens,
                                           c.op.head_dim)
                           .y;
      set_columns(expected, c.op.ld, h * c.op.head_dim, (h + 1) * c.op.head_dim, y);
    }
    TestTensor x(device(), dtype(), {c.tokens, c.op.ld}, before), kept(device(), dtype(), {c.tokens, width}),
        stats(device(), wide(), {c.tokens, c.op.heads});
    device().run(ops::HeadNormForward{c.op, x, gain, kept, stats});
    expect_close(x.values(), expected, relative(), sum_error(c.op.head_dim), "normalised");
    expect_close(kept.values(), heads.x, 0, 0, "kept");
    TestTensor alone(device(), dtype(), {c.tokens, c.op.ld}, before);
    device().run(ops::HeadNormForward{c.op, alone, gain, Tensor(), Tensor()});
    EXPECT_EQ(alone.raw(), x.raw());
  }
}

TEST_P(HeadNormTest, BackwardReplacesTheGradientAndAddsToTheWeights) {
  for (const HeadNormCase& c : kHeadNormCases) {
    const int64_t width = c.op.heads * c.op.head_dim;
    SCOPED_TRACE(::testing::Message() << c.tokens << " tokens, " << c.op.heads << " heads of " << c.op.head_dim);
    const Values before = random(c.tokens * c.op.ld), weight = random(width), dy = random(c.tokens * c.op.ld);
    const Values dweight_before = random_values(width);
    const TestTensor gain(device(), dtype(), {width}, weight);
    const Heads heads(c, before, weight), gradients(c, dy, weight);
    Values expected = dy, dweight_expected = dweight_before;
    for (int64_t h = 0; h < c.op.heads; ++h) {
      const int64_t begin = h * c.op.head_dim, end = begin + c.op.head_dim;
      const auto slope = reference::row_norm_backward(
          {RowNormKind::kRms, c.op.eps}, gradients.head(c, gradients.x, h), heads.head(c, heads.x, h),
          Values(weight.begin() + begin, weight.begin() + end), c.tokens, c.op.head_dim);
      set_columns(expected, c.op.ld, begin, end, slope.dx);
      for (int64_t j = begin; j < end; ++j)
        dweight_expected[static_cast<size_t>(j)] += slope.dweight[static_cast<size_t>(j - begin)];
    }
    TestTensor x(device(), dtype(), {c.tokens, c.op.ld}, before), kept(device(), dtype(), {c.tokens, width}),
        stats(device(), wide(), {c.tokens, c.op.heads});
    device().run(ops::HeadNormForward{c.op, x, gain, kept, stats});
    TestTensor dx(device(), dtype(), {c.tokens, c.op.ld}, dy), dweight(device(), wide(), {width}, dweight_before);
    device().run(ops::HeadNormBackward{c.op, dx, kept, gain, stats, dweight});
    // As for rows: terms reach 1 / deviation * |w| * |dy|.
    expect_close(dx.values(), expected, relative(), 30 * sum_error(c.op.head_dim), "dx");
    expect_close(dweight.values(), dweight_expected, wide_relative(), 30 * sum_error(c.tokens), "dweight");
  }
}

NX_FOR_EVERY_TYPE(HeadNormTest);

TEST(HeadNorm, BackwardIsTheSlopeOfForward) {
  NX_NEEDS_F64();
  const HeadNorm op{2, 5, 13, 1e-3};
  constexpr int64_t kTokens = 3;
  const Values x = random_values(kTokens * op.ld), weight = random_values(10), dy = random_values(kTokens * op.ld);
  TestTensor kept(device(), DType::kF64, {kTokens, 10}), stats(device(), DType::kF64, {kTokens, 2});
  const auto loss = [&](const Values& input, const Values& gain) {
    TestTensor packed(device(), DType::kF64, {kTokens, op.ld}, input);
    device().run(ops::HeadNormForward{op, packed, TestTensor(device(), DType::kF64, {10}, gain), kept, stats});
    return dot(packed.values(), dy);
  };
  loss(x, weight);
  TestTensor dx(device(), DType::kF64, {kTokens, op.ld}, dy), dweight(device(), DType::kF64, {10}, Values(10, 0.0));
  device().run(ops::HeadNormBackward{op, dx, kept, TestTensor(device(), DType::kF64, {10}, weight), stats, dweight});
  expect_gradient(
      dx.values(), x, [&](const Values& input) { return loss(input, weight); }, "dx");
  expect_gradient(
      dweight.values(), weight, [&](const Values& gain) { return loss(x, gain); }, "dweight");
}

TEST(HeadNorm, GradientOfTheWeightIsTheSameEveryTime) {
  const HeadNorm op{3, 64, 200};
  constexpr int64_t kTokens = 1000;
  TestTensor x(device(), DType::kF32, {kTokens, op.ld}, random_values(kTokens * op.ld));
  const TestTensor weight(device(), DType::kF32, {192}, random_values(192));
  const Values dy = random_values(kTokens * op.ld);
  TestTensor kept(device(), DType::kF32, {kTokens, 192}), stats(device(), DType::kF32, {kTokens, 3});
  device().run(ops::HeadNormForward{op, x, weight, kept, stats});
  std::vector<char> first;
  for_every_sharing_of_work([&](Backend& backend, const std::string& what) {
    TestTensor dx(backend, DType::kF32, {kTokens, op.ld}, dy), dweight(backend, DType::kF32, {192}, Values(192, 0.0));
    backend.run(ops::HeadNormBackward{op, dx, kept, weight, stats, dweight});
    if (first.empty()) first = dweight.raw();
    EXPECT_EQ(dweight.raw(), first) << what;
  });
}

}  // namespace
}  // namespace nexus::test
