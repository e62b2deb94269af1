#include <iterator>
#include <optional>
#include <utility>

#include "unit/backend/backend_test.h"

namespace nexus::test {
namespace {

// Packed rows as a layer lays them out: q, k and v side by side, with `gap` unused elements at the end of a token.
struct Packed {
  Attention op;
  int64_t gap;
  std::vector<int32_t> lengths = {};  // none: every sample is whole

  int64_t tokens() const { return op.batch * op.context; }
  int64_t k_at() const { return op.heads * op.head_dim; }
  int64_t v_at() const { return k_at() + op.kv_heads * op.head_dim; }
  int64_t count() const { return tokens() * op.ld; }
  int64_t out_count() const { return tokens() * op.heads * op.head_dim; }
  Shape out_shape() const { return {tokens(), op.heads * op.head_dim}; }
  Shape stats_shape() const { return {op.batch, op.heads, op.context}; }
  // An operand of both passes; undefined where there are no lengths. `memory` holds it.
  Tensor lengths_on(std::optional<TestTensor>& memory) const {
    if (lengths.empty()) return {};
    memory.emplace(device(), lengths);
    return *memory;
  }
  // Whether row (batch, head, token) of the statistics is of a token that exists.
  bool exists(int64_t row) const {
    return lengths.empty() || row % op.context < lengths[static_cast<size_t>(row / (op.heads * op.context))];
  }
  // q, k or v of a packed tensor, as layers name them.
  Tensor part(const Tensor& packed, int64_t at) const {
    Tensor view = packed;
    view.data = static_cast<char*>(packed.data) + at * size_of(packed.dtype);
    return view;
  }
};

Packed make_case(int64_t batch, int64_t context, int64_t heads, int64_t kv_heads, int64_t head_dim, int64_t gap) {
  return {{batch, context, heads, kv_heads, head_dim, (heads + 2 * kv_heads) * head_dim + gap}, gap};
}

// The same with every token visible to every other one.
Packed all_to_all(Packed size, std::vector<int32_t> lengths = {}) {
  size.op.mask = AttentionMask::kFull;
  size.lengths = std::move(lengths);
  return size;
}

// Contexts around the block of 64, grouped queries, head widths with and without padding to SIMD registers.
const std::vector<Packed> kAttentionCases = {make_case(1, 1, 1, 1, 16, 0),
                                             make_case(2, 5, 2, 1, 16, 3),
                                             make_case(1, 64, 2, 2, 48, 0),
                                             make_case(2, 65, 4, 2, 64, 0),
                                             make_case(1, 150, 3, 1, 20, 5),
                                             make_case(1, 129, 1, 1, 128, 0),
                                             make_case(3, 63, 6, 3, 10, 0),
                                             all_to_all(make_case(1, 1, 1, 1, 16, 0)),
                                             all_to_all(make_case(2, 130, 4, 2, 64, 8)),
                                             all_to_all(make_case(1, 65, 3, 1, 20, 5)),
                                             all_to_all(make_case(5, 130, 4, 2, 64, 8), {130, 0, 64, 65, 1}),
                                             all_to_all(make_case(3, 40, 2, 2, 20, 3), {7, 40, 39})};

class AttentionTest : public EveryType {
 protected:
  template <typename Check>
  void for_each_case(const Check& check) {
    for (const Packed& size : kAttentionCases) {
      SCOPED_TRACE(::testing::Message() << "batch " << size.op.batch << " context " << size.op.context << " heads "
                                        << size.op.heads << "/" << size.op.kv_heads << " of " << size.op.head_dim
                                        << (size.op.causal()       ? ""
                                            : size.lengths.empty() ? ", all to all"
                                                                   : ", lengths"));
      check(size);
    }
  }
};

TEST_P(AttentionTest, ForwardMatchesTheLoops) {
  for_each_case([&](const Packed& size) {
    const Values qkv = random(size.count());
    const TestTensor packed(device(), dtype(), {size.tokens(), size.op.ld}, qkv);
    TestTensor out(device(), dtype(), size.out_shape()), lse(device(), wide(), size.stats_shape());
    std::optional<TestTensor> memory;
    device().run(ops::AttentionForward{size.op, packed, size.part(packed, size.k_at()), size.part(packed, size.v_at()),
                                       out, lse, size.lengths_on(memory)});
    const auto expected =
        reference::attention_forward(size.op, &qkv[0], &qkv[0] + size.k_at(), &qkv[0] + size.v_at(), size.lengths);
    // Scores are sums of head_dim products divided by sqrt(head_dim); exp passes their error on to averages of values.
    const double absolute = 4 * sum_error(size.op.head_dim + size.op.context);
    // cuDNN multiplies values by probabilities of bf16: half a step of an average of values below 5 in magnitude.
    const double probabilities = dtype() == DType::kBF16 && device().name() == "cuda" ? 1e-2 : 0.0;
    expect_close(out.values(), expected.out, relative(), absolute + probabilities, "out");
    Values logsumexp = lse.values();
    for (int64_t row = 0; row < std::ssize(logsumexp); ++row)
      if (!size.exists(row)) logsumexp[static_cast<size_t>(row)] = 0;
    expect_close(logsumexp, expected.logsumexp, wide_relative(), absolute, "logsumexp");
  });
}

TEST_P(AttentionTest, BackwardMatchesTheLoops) {
  for_each_case([&](const Packed& size) {
    const Values qkv = random(size.count()), dout = random(size.out_count());
    const Shape shape = {size.tokens(), size.op.ld};
    const TestTensor packed(device(), dtype(), shape, qkv), gradient(device(), dtype(), size.out_shape(), dout);
    TestTensor out(device(), dtype(), size.out_shape()), lse(device(), wide(), size.stats_shape());
    TestTensor scratch(device(), wide(), size.stats_shape()), dpacked(device(), dtype(), shape);
    std::optional<TestTensor> memory;
    const Tensor k = size.part(packed, size.k_at()), v = size.part(packed, size.v_at());
    device().run(ops::AttentionForward{size.op, packed, k, v, out, lse, size.lengths_on(memory)});
    device().run(ops::AttentionBackward{size.op, gradient, packed, k, v, out, lse, scratch, dpacked,
                                        size.part(dpacked, size.k_at()), size.part(dpacked, size.v_at()),
                                        size.lengths_on(memory)});
    Values expected = reference::zeros(size.count());
    reference::attention_backward(size.op, dout, &qkv[0], &qkv[0] + size.k_at(), &qkv[0] + size.v_at(), &expected[0],
                                  &expected[0] + size.k_at(), &expected[0] + size.v_at(), size.lengths);
    Values actual = dpacked.values();
    for (int64_t i = 0; i < size.count(); ++i) {  // gaps are nobody's
      if (i % size.op.ld < size.op.ld - size.gap) continue;
      EXPECT_TRUE(std::isnan(actual[static_cast<size_t>(i)])) << "wrote into the gap at " << i;
      actual[static_cast<size_t>(i)] = 0;
    }
    // As forward, times |dout| sqrt(head_dim). bf16: delta = rowsum(dout * out) sees an output rounded to 2^-9, so dS
    // has an error of P |dout| |out| 2^-9; the first keys sum it over the queries that see little else.
    const double rounding = dtype() == DType::kBF16 ? 3e-2 : 0.0;
    expect_close(actual, expected, relative(), rounding + 20 * sum_error(size.op.head_dim + size.op.context), "dqkv");
  });
}

TEST_P(AttentionTest, TwoCallsAgreeBitForBit) {
  const Packed size = make_case(2, 100, 4, 2, 48, 0);
  const Shape shape = {size.tokens(), size.op.ld};
  const TestTensor packed(device(), dtype(), shape, random(size.count()));
  const TestTensor gradient(device(), dtype(), size.out_shape(), random(size.out_count()));
  const Tensor k = size.part(packed, size.k_at()), v = size.part(packed, size.v_at());
  std::vector<std::vector<char>> first;
  for (int call = 0; call < 3; ++call) {
    TestTensor out(device(), dtype(), size.out_shape()), lse(device(), wide(), size.stats_shape());
    TestTensor scratch(device(), wide(), size.stats_shape()), dpacked(device(), dtype(), shape);
    device().run(ops::AttentionForward{size.op, packed, k, v, out, lse});
    device().run(ops::AttentionBackward{size.op, gradient, packed, k, v, out, lse, scratch, dpacked,
                                        size.part(dpacked, size.k_at()), size.part(dpacked, size.v_at())});
    const std::vector<std::vector<char>> now = {out.raw(), lse.raw(), dpacked.raw()};
    if (first.empty()) first = now;
    EXPECT_EQ(now, first);
  }
}

TEST_P(AttentionTest, LaterTokensDoNotChangeEarlierOnes) {
  const Packed size = make_case(1, 80, 2, 2, 16, 0);
  Values qkv = random(size.count());
  TestTensor packed(device(), dtype(), {size.tokens(), size.op.ld}, qkv);
  TestTensor out(device(), dtype(), size.out_shape()), lse(device(), wide(), size.stats_shape());
  const auto forward = [&] {
    device().run(ops::AttentionForward{size.op, packed, size.part(packed, size.k_at()), size.part(packed, size.v_at()),
                                       out, lse});
    return out.values();
  };
  const Values before = forward();
  for (int64_t i = 70 * size.op.ld; i < size.count(); ++i) qkv[static_cast<size_t>(i)] += 3.0;
  packed.set(qkv);
  const Values after = forward();
  const int64_t border = 70 * size.op.heads * size.op.head_dim;
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + border, after.begin()));
  EXPECT_FALSE(std::equal(before.begin() + border, before.end(), after.begin() + border));
}

// What lies in the rows of tokens beyond a length changes no bit, and their own rows are zero.
TEST_P(AttentionTest, TokensBeyondALengthAreNeitherReadNorWritten) {
  const Packed size = all_to_all(make_case(3, 80, 4, 2, 16, 0), {80, 0, 33});
  Values qkv = random(size.count()), dout = random(size.out_count());
  const Shape shape = {size.tokens(), size.op.ld};
  std::optional<TestTensor> memory;
  const auto run = [&] {
    const TestTensor packed(device(), dtype(), shape, qkv), gradient(device(), dtype(), size.out_shape(), dout);
    const TestTensor out(device(), dtype(), size.out_shape()), lse(device(), wide(), size.stats_shape());
    const TestTensor scratch(device(), wide(), size.stats_shape()), dpacked(device(), dtype(), shape);
    const Tensor k = size.part(packed, size.k_at()), v = size.part(packed, size.v_at());
    device().run(ops::AttentionForward{size.op, packed, k, v, out, lse, size.lengths_on(memory)});
    device().run(ops::AttentionBackward{size.op, gradient, packed, k, v, out, lse, scratch, dpacked,
                                        size.part(dpacked, size.k_at()), size.part(dpacked, size.v_at()),
                                        size.lengths_on(memory)});
    return std::pair(out.values(), dpacked.values());
  };
  const auto [out, gradients] = run();
  const auto missing = [&](int64_t token) {
    return token % size.op.context >= size.lengths[static_cast<size_t>(token / size.op.context)];
  };
  const int64_t width = size.op.heads * size.op.head_dim;
  for (int64_t token = 0; token < size.tokens(); ++token) {
    if (!missing(token)) continue;
    for (int64_t i = 0; i < width; ++i) {
      ASSERT_EQ(out[static_cast<size_t>(token * width + i)], 0.0) << token;
      dout[static_cast<size_t>(token * width + i)] -= 2.0;
    }
    for (int64_t i = 0; i < size.op.ld; ++i) {
      ASSERT_EQ(gradients[static_cast<size_t>(token * size.op.ld + i)], 0.0) << token;
      qkv[static_cast<size_t>(token * size.op.ld + i)] += 3.0;
    }
  }
  EXPECT_EQ(run(), std::pair(out, gradients));
}

NX_FOR_EVERY_TYPE(AttentionTest);

class AttentionSlope : public ::testing::TestWithParam<Packed> {};

TEST_P(AttentionSlope, BackwardIsTheSlopeOfForward) {
  NX_NEEDS_F64();
  const Packed size = GetParam();
  const Values qkv = random_values(size.count()), dout = random_values(size.out_count());
  const Shape shape = {size.tokens(), size.op.ld};
  TestTensor packed(device(), DType::kF64, shape, qkv), out(device(), DType::kF64, size.out_shape());
  TestTensor lse(device(), DType::kF64, size.stats_shape()), scratch(device(), DType::kF64, size.stats_shape());
  const Tensor k = size.part(packed, size.k_at()), v = size.part(packed, size.v_at());
  std::optional<TestTensor> memory;
  const Tensor lengths = size.lengths_on(memory);
  const auto loss = [&](const Values& x) {
    packed.set(x);
    device().run(ops::AttentionForward{size.op, packed, k, v, out, lse, lengths});
    return dot(out.values(), dout);
  };
  loss(qkv);
  TestTensor dpacked(device(), DType::kF64, shape, Values(static_cast<size_t>(size.count()), 0.0));
  device().run(ops::AttentionBackward{size.op, TestTensor(device(), DType::kF64, size.out_shape(), dout), packed, k, v,
                                      out, lse, scratch, dpacked, size.part(dpacked, size.k_at()),
                                      size.part(dpacked, size.v_at()), lengths});
  expect_gradient(dpacked.values(), qkv, loss, "dqkv");
}

INSTANTIATE_TEST_SUITE_P(Masks, AttentionSlope,
                         ::testing::Values(make_case(2, 6, 4, 2, 5, 2), all_to_all(make_case(2, 6, 4, 2, 5, 2)),
                                           all_to_all(make_case(3, 6, 4, 2, 5, 2), {4, 0, 6})));

TEST(Attention, RefusesLengthsThatAreNone) {
  Packed size = all_to_all(make_case(2, 6, 2, 1, 4, 0), {6, 7});
  const TestTensor packed(device(), DType::kF32, {size.tokens(), size.op.ld}),
      out(device(), DType::kF32, size.out_shape());
  const TestTensor lse(device(), DType::kF32, size.stats_shape());
  const auto forward = [&](const Tensor& lengths) {
    device().run(ops::AttentionForward{size.op, packed, size.part(packed, size.k_at()), size.part(packed, size.v_at()),
                                       out, lse, lengths});
  };
  const TestTensor three(device(), std::vector<int32_t>{1, 2, 3}), wide(device(), DType::kF32, {2});
  EXPECT_THROW(forward(three), Error);
  EXPECT_THROW(forward(wide), Error);
  std::optional<TestTensor> memory;
  if (!nexus::testing::kOnGpu) {  // a GPU cannot look
    EXPECT_THROW(forward(size.lengths_on(memory)), Error);
  }
  size.lengths = {6, 5};
  EXPECT_NO_THROW(forward(size.lengths_on(memory)));
  size.op.mask = AttentionMask::kCausal;
  EXPECT_THROW(forward(size.lengths_on(memory)), Error);
}

TEST(Attention, HugeScoresStayFinite) {
  const Packed size = make_case(1, 70, 1, 1, 16, 0);
  const TestTensor packed(device(), DType::kF32, {size.tokens(), size.op.ld}, random_values(size.count(), 1e4));
  TestTensor out(device(), DType::kF32, size.out_shape()), lse(device(), DType::kF32, size.stats_shape());
  device().run(
      ops::AttentionForward{size.op, packed, size.part(packed, size.k_at()), size.part(packed, size.v_at()), out, lse});
  for (const double value : out.values()) ASSERT_TRUE(std::isfinite(value));
}

class RopeTest : public EveryType {};

TEST_P(RopeTest, MatchesTheLoopsAndRotatesBack) {
  const std::vector<Rope> cases = {{1, 1, 2, 2, 2, 10000.0f},
                                   {7, 3, 16, 16, 48, 10000.0f},
                                   {33, 2, 48, 12, 100, 500.1}};  // no float: f64 sees it whole
  for (const Rope& op : cases) {
    const int64_t tokens = 3 * op.context;
    const Values before = random(tokens * op.ld);
    TestTensor x(device(), dtype(), {tokens, op.ld}, before);
    Values expected = before;
    reference::rope(op, expected.data(), tokens, false);
    device().run(ops::Rotate{op, x, false});
    // Two products of magnitude up to 4.
    const double absolute = dtype() == DType::kF64 ? 1e-14 : 2e-6;
    expect_close(x.values(), expected, relative(), absolute + (dtype() == DType::kBF16 ? 1e-3 : 0), "rotated");
    device().run(ops::Rotate{op, x, true});
    // There and back rounds twice, each time by half a step of the largest element of the pair.
    const double twice = dtype() == DType::kBF16 ? 3e-2 : 2 * absolute;
    expect_close(x.values(), before, relative(), twice, "back");
  }
}

TEST_P(RopeTest, TakesPositionsAsTheyAreGiven) {
  const Rope op{33, 2, 48, 12, 100, 10000.0};
  const std::vector<int32_t> positions = {0, 32, 5, 5, 1, 17, 31, 2, 3, 4, 5, 6, 7, 0, 0, 30, 32};
  const auto tokens = std::ssize(positions);
  const Values before = random(tokens * op.ld);
  TestTensor x(device(), dtype(), {tokens, op.ld}, before);
  const TestTensor at(device(), positions);
  Values expected = before;
  reference::rope(op, expected.data(), tokens, false, positions);
  device().run(ops::Rotate{op, x, false, at});
  const double absolute = dtype() == DType::kF64 ? 1e-14 : 2e-6;
  expect_close(x.values(), expected, relative(), absolute + (dtype() == DType::kBF16 ? 1e-3 : 0), "rotated");
  if (nexus::testing::kOnGpu) return;  // it cannot look
  for (const int32_t bad : {-1, 33}) {
    std::vector<int32_t> wrong = positions;
    wrong[16] = bad;
    EXPECT_THROW(device().run(ops::Rotate{op, x, false, TestTensor(device(), wrong)}), Error);
  }
}

NX_FOR_EVERY_TYPE(RopeTest);

TEST(Rope, ScoresDependOnDistanceOnly) {
  NX_NEEDS_F64();
  const Rope op{40, 1, 16, 16, 16, 10000.0f};
  const Values q = random_values(16), k = random_values(16);
  Values queries, keys;
  for (int64_t t = 0; t < op.context; ++t) {
    queries.insert(queries.end(), q.begin(), q.end());
    keys.insert(keys.end(), k.begin(), k.end());
  }
  TestTensor rotated_q(device(), DType::kF64, {op.context, 16}, queries),
      rotated_k(device(), DType::kF64, {op.context, 16}, keys);
  device().run(ops::Rotate{op, rotated_q, false});
  device().run(ops::Rotate{op, rotated_k, false});
  const auto score = [&](int64_t i, int64_t j) {
    const Values a = rotated_q.values(), b = rotated_k.values();
    return dot(Values(a.begin() + i * 16, a.begin() + (i + 1) * 16),
               Values(b.begin() + j * 16, b.begin() + (j + 1) * 16));
  };
  EXPECT_NEAR(score(9, 4), score(35, 30), 1e-12);  // sums of 16 products in f64
  EXPECT_GT(std::abs(score(9, 4) - score(9, 5)), 1e-6);
}

}  // namespace
}  // namespace nexus::test
