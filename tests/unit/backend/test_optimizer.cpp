#include "unit/backend/backend_test.h"

namespace nexus::test {
namespace {

class OptimizerTest : public EveryType {};

// Four blocks with their own rates, decays and step counts; elements 3..9 and the gaps between rows belong to none.
std::vector<UpdateBlock> make_blocks() {
  return {{.offset = 0,
           .state_offset = 0,
           .rows = 1,
           .cols = 3,
           .row_stride = 0,
           .learning_rate = 1e-2,
           .weight_decay = 0.1,
           .step1 = 1,
           .step2 = 1},
          {.offset = 10,
           .state_offset = 10,
           .rows = 4,
           .cols = 7,
           .row_stride = 20,
           .learning_rate = 3e-3,
           .weight_decay = 0.0,
           .step1 = 9,
           .step2 = 4},
          {.offset = 17,
           .state_offset = 17,
           .rows = 4,
           .cols = 13,
           .row_stride = 20,
           .learning_rate = 6e-3,
           .weight_decay = 0.1,
           .step1 = 2,
           .step2 = 100},
          {.offset = 100,
           .state_offset = 100,
           .rows = 1,
           .cols = 40000,
           .row_stride = 0,
           .learning_rate = 1e-3,
           .weight_decay = 0.2,
           .step1 = 500,
           .step2 = 500}};
}

TEST_P(OptimizerTest, AdamwMatchesTheScalarFormulaInEveryBlock) {
  constexpr int64_t kCount = 40100;
  const std::vector<UpdateBlock> blocks = make_blocks();
  for (const double clip : {0.0, 1.0, 1e6}) {
    const auto stored = [&](Values values) {
      for (double& value : values) value = rounded(wide(), value);
      return values;
    };
    const Values grad = stored(random_values(kCount)), master = stored(random_values(kCount, 0.02));
    const Values m = stored(random_values(kCount, 0.1));
    Values v = stored(random_values(kCount, 0.1));
    for (double& value : v) value = std::abs(value);
    const double squares = dot(grad, grad);
    const double factor = clip == 0 ? 1.0 : std::min(1.0, clip / (std::sqrt(squares) + 1e-6));
    AdamW op;
    op.clip = clip;
    const TestTensor sum(device(), DType::kF64, {1}, {squares}), gradient(device(), wide(), {kCount}, grad);
    TestTensor moment1(device(), wide(), {kCount}, m), moment2(device(), wide(), {kCount}, v);
    TestTensor parameters(device(), wide(), {kCount}, master), compute(device(), dtype(), {kCount});
    device().run(ops::AdamWUpdate{op, blocks, sum, gradient, moment1, moment2, parameters, compute, Tensor()});

    Values expected = master, expected_m = m, expected_v = v;
    std::vector<bool> touched(kCount, false);
    for (const UpdateBlock& block : blocks) {
      for (int64_t i = 0; i < block.rows; ++i) {
        for (int64_t j = 0; j < block.cols; ++j) {
          const size_t at = static_cast<size_t>(block.offset + i * block.row_stride + j);
          const auto state = reference::adamw(op, block, factor, grad[at], {master[at], m[at], v[at]});
          expected[at] = state.parameter;
          expected_m[at] = state.moment1;
          expected_v[at] = state.moment2;
          touched[at] = true;
        }
      }
    }
    // Updates of magnitude up to 0.1 rounded a few times; parameters of magnitude 0.02.
    const double absolute = wide() == DType::kF64 ? 1e-15 : 5e-8;
    expect_close(parameters.values(), expected, wide_relative(), absolute, "parameters");
    expect_close(moment1.values(), expected_m, wide_relative(), absolute, "moment1");
    expect_close(moment2.values(), expected_v, wide_relative(), absolute, "moment2");
    const Values updated = parameters.values(), copied = compute.values();
    for (size_t i = 0; i < copied.size(); ++i) {
      if (touched[i])
        ASSERT_EQ(copied[i], rounded(dtype(), updated[i])) << i;
      else
        ASSERT_TRUE(std::isnan(copied[i])) << "element " << i << " belongs to no block";
    }
  }
}

TEST_P(OptimizerTest, AdamwWorksWithoutAComputeCopy) {
  const std::vector<UpdateBlock> blocks = {{.offset = 0,
                                            .state_offset = 0,
                                            .rows = 1,
                                            .cols = 50,
                                            .row_stride = 0,
                                            .learning_rate = 0.1,
                                            .weight_decay = 0.5}};
  const Values ones(50, 1.0), zeros(50, 0.0);
  TestTensor m(device(), wide(), {50}, zeros), v(device(), wide(), {50}, zeros), x(device(), wide(), {50}, ones);
  device().run(
      ops::AdamWUpdate{{}, blocks, Tensor(), TestTensor(device(), wide(), {50}, ones), m, v, x, Tensor(), Tensor()});
  // First step: 1 - 0.1 * 0.5 - 0.1 * sign(gradient), up to eps = 1e-8 and one rounding of f32.
  expect_close(x.values(), Values(50, 0.85), 0, 2e-7, "parameters");
}

// The state of 1000 elements after one update, in which piece i of the flat range covers [cuts[i], cuts[i + 1]) and its
// state lies `shift` elements further.
struct Updated {
  std::vector<char> master, moment1, moment2, compute;
  bool operator==(const Updated&) const = default;
};

class CutBlocks {
 public:
  CutBlocks(DType dtype, DType wide) : dtype_(dtype), wide_(wide) {
    for (double& value : v_) value = std::abs(value);
  }

  Updated update(const std::vector<int64_t>& cuts, int64_t shift, bool with_compute) const {
    std::vector<UpdateBlock> blocks;
    for (size_t i = 0; i + 1 < cuts.size(); ++i)
      blocks.push_back({.offset = cuts[i],
                        .state_offset = cuts[i] + shift,
                        .cols = cuts[i + 1] - cuts[i],
                        .learning_rate = 3e-3,
                        .weight_decay = 0.1,
                        .step1 = 7,
                        .step2 = 11});
    AdamW op;
    op.clip = 1.0;
    const TestTensor grad(device(), wide_, {kCount}, grad_), sum(device(), DType::kF64, {1}, {30.0});
    TestTensor compute(device(), dtype_, {kCount});
    const auto shifted = [&](const Values& values) {
      Values moved(static_cast<size_t>(shift), 1.0);
      moved.insert(moved.end(), values.begin(), values.end());
      return TestTensor(device(), wide_, {kCount + shift}, moved);
    };
    const TestTensor m = shifted(m_), v = shifted(v_), master = shifted(master_);
    device().run(
        ops::AdamWUpdate{op, blocks, sum, grad, m, v, master, with_compute ? compute.tensor() : Tensor(), Tensor()});
    const auto bits = [&](const TestTensor& state) {
      const std::vector<char> raw = state.raw();
      return std::vector<char>(raw.begin() + shift * size_of(wide_), raw.end());
    };
    return {bits(master), bits(m), bits(v), with_compute ? compute.raw() : std::vector<char>()};
  }

  static constexpr int64_t kCount = 1000;

 private:
  DType dtype_, wide_;
  Values grad_ = random_values(kCount), m_ = random_values(kCount, 0.1), v_ = random_values(kCount, 0.1),
         master_ = random_values(kCount, 0.02);
};

TEST_P(OptimizerTest, CuttingABlockAndMovingItsStateChangesNoBit) {
  const CutBlocks run(dtype(), wide());
  const Updated whole = run.update({0, 1000}, 0, true);
  for (const int64_t shift : {0, 1, 5, 16}) {
    EXPECT_EQ(run.update({0, 1000}, shift, true), whole) << "state moved by " << shift;
    EXPECT_EQ(run.update({0, 1, 4, 11, 26, 57, 120, 247, 502, 999, 1000}, shift, true), whole) << shift;
    std::vector<int64_t> single(1001);
    for (size_t i = 0; i < single.size(); ++i) single[i] = static_cast<int64_t>(i);
    EXPECT_EQ(run.update(single, shift, true), whole) << "elements one by one";
    // Without a compute copy the kernel is another one.
    Updated without = run.update({0, 333, 1000}, shift, false);
    without.compute = whole.compute;
    EXPECT_EQ(without, whole) << "without a compute copy";
  }
}

TEST_P(OptimizerTest, ShardedStateOfRectanglesGivesTheWholesBits) {
  // Rows 20..39 of a [40, 30] parameter that grew to 17 + 13 columns; the rank's state holds those rows only.
  constexpr int64_t kWidth = 30, kCount = 40 * kWidth, kHalf = kCount / 2;
  const Values grad = random_values(kCount), x = random_values(kCount, 0.02);
  const Values zeros(kCount, 0.0), half_zeros(kHalf, 0.0);
  const auto blocks = [&](int64_t first_row, int64_t rows, int64_t state_offset) {
    std::vector<UpdateBlock> result;
    for (const auto& [column, cols] : std::vector<std::pair<int64_t, int64_t>>{{0, 17}, {17, 13}})
      result.push_back({.offset = first_row * kWidth + column,
                        .state_offset = state_offset + column,
                        .rows = rows,
                        .cols = cols,
                        .row_stride = kWidth,
                        .learning_rate = column == 0 ? 1e-3 : 1e-2,
                        .weight_decay = 0.1});
    return result;
  };
  const TestTensor gradient(device(), wide(), {kCount}, grad);
  TestTensor m(device(), wide(), {kCount}, zeros), v(device(), wide(), {kCount}, zeros),
      master(device(), wide(), {kCount}, x);
  TestTensor m_half(device(), wide(), {kHalf}, half_zeros), v_half(device(), wide(), {kHalf}, half_zeros);
  TestTensor master_half(device(), wide(), {kHalf}, Values(x.begin() + kHalf, x.end()));
  TestTensor compute(device(), dtype(), {kCount}), compute_half(device(), dtype(), {kCount}, zeros);
  device().run(ops::AdamWUpdate{{}, blocks(0, 40, 0), Tensor(), gradient, m, v, master, compute, Tensor()});
  device().run(
      ops::AdamWUpdate{{}, blocks(20, 20, 0), Tensor(), gradient, m_half, v_half, master_half, compute_half, Tensor()});
  const auto upper = [](const Values& values) { return Values(values.begin() + kHalf, values.end()); };
  EXPECT_EQ(master_half.values(), upper(master.values()));
  EXPECT_EQ(m_half.values(), upper(m.values()));
  EXPECT_EQ(v_half.values(), upper(v.values()));
  EXPECT_EQ(upper(compute_half.values()), upper(compute.values()));
  Values lower = compute_half.values();
  lower.resize(kHalf);
  EXPECT_EQ(lower, half_zeros) << "rows of another rank";
}

TEST_P(OptimizerTest, ClippingAddsTheSumsOfSquaresInOrder) {
  const std::vector<UpdateBlock> blocks = {{.cols = 20, .learning_rate = 0.1}};
  AdamW op;
  op.clip = 1.0;
  const auto update = [&](const Values& sums) {
    TestTensor m(device(), wide(), {20}, Values(20, 0.0)), v(device(), wide(), {20}, Values(20, 0.0));
    TestTensor x(device(), wide(), {20}, Values(20, 1.0));
    const TestTensor parts(device(), DType::kF64, {static_cast<int64_t>(sums.size())}, sums);
    device().run(ops::AdamWUpdate{op, blocks, parts, TestTensor(device(), wide(), {20}, Values(20, 1.0)), m, v, x,
                                  Tensor(), Tensor()});
    return m.values();
  };
  EXPECT_EQ(update({100.0, 0.0, 44.0}), update({144.0}));
  EXPECT_NE(update({100.0, 0.0, 44.0}), update({100.0}));
  // The order shows: 4.25 + 2^53 is 2^53 + 4 in f64.
  const double big = 9007199254740992.0;
  EXPECT_EQ(update({4.25, big, -big}), update({4.0}));
  EXPECT_NE(update({4.25, big, -big}), update({4.25}));
}

TEST_P(OptimizerTest, AdamwLetsNanThrough) {
  const std::vector<UpdateBlock> blocks = {
      {.offset = 0, .state_offset = 0, .rows = 1, .cols = 20, .row_stride = 0, .learning_rate = 0.1}};
  AdamW op;
  op.clip = 1.0;
  TestTensor m(device(), wide(), {20}, Values(20, 0.0)), v(device(), wide(), {20}, Values(20, 0.0));
  TestTensor x(device(), wide(), {20}, Values(20, 1.0));
  device().run(ops::AdamWUpdate{op, blocks, TestTensor(device(), DType::kF64, {1}, {std::nan("")}),
                                TestTensor(device(), wide(), {20}, Values(20, 1.0)), m, v, x, Tensor(), Tensor()});
  for (const double value : x.values()) EXPECT_TRUE(std::isnan(value));
}

// What one update of 40000 elements tells where element `at` of one operand is `value` beforehand.
class NonfiniteFlag {
 public:
  enum class Operand { kNone, kGrad, kMoment1, kMoment2, kMaster };
  NonfiniteFlag(Backend& backend, DType dtype, DType wide) : backend_(backend), dtype_(dtype), wide_(wide) {}

  double after(Operand operand, int64_t at, double value, bool with_compute = true, double before = 0) const {
    const auto filled = [&](Operand which, double fill) {
      Values values(kCount, fill);
      if (which == operand) values[static_cast<size_t>(at)] = value;
      return TestTensor(backend_, wide_, {kCount}, values);
    };
    // Two blocks, one of rows that lie apart; element 100 belongs to none.
    const std::vector<UpdateBlock> blocks = {{.rows = 10, .cols = 9, .row_stride = 10, .learning_rate = 1e-3},
                                             {.offset = 101, .state_offset = 101, .cols = kCount - 101}};
    const TestTensor grad = filled(Operand::kGrad, 1e-3), m = filled(Operand::kMoment1, 1e-3);
    const TestTensor v = filled(Operand::kMoment2, 1e-6), master = filled(Operand::kMaster, 0.5);
    const TestTensor compute(backend_, dtype_, {kCount}), flag(backend_, DType::kF64, {1}, {before});
    backend_.run(
        ops::AdamWUpdate{{}, blocks, Tensor(), grad, m, v, master, with_compute ? compute.tensor() : Tensor(), flag});
    return flag.values()[0];
  }

  static constexpr int64_t kCount = 40000;

 private:
  Backend& backend_;
  DType dtype_, wide_;
};

TEST_P(OptimizerTest, AdamwTellsWhetherAllThatItWroteIsFinite) {
  using Operand = NonfiniteFlag::Operand;
  const double infinity = std::numeric_limits<double>::infinity();
  for_every_sharing_of_work([&](Backend& backend, const std::string& what) {
    const NonfiniteFlag flag(backend, dtype(), wide());
    for (const bool with_compute : {true, false}) {
      EXPECT_EQ(flag.after(Operand::kNone, 0, 0, with_compute), 0) << what;
      EXPECT_EQ(flag.after(Operand::kNone, 0, 0, with_compute, 1), 1) << "it is never taken back";
      for (const Operand operand : {Operand::kGrad, Operand::kMoment1, Operand::kMoment2, Operand::kMaster})
        for (const int64_t at : {0L, 8L, 101L, 104L, 20003L, NonfiniteFlag::kCount - 1})
          for (const double value : {std::nan(""), infinity, -infinity})
            EXPECT_EQ(flag.after(operand, at, value, with_compute), 1)
                << what << ": operand " << static_cast<int>(operand) << " element " << at << " was " << value;
      // Between the rows, and between the blocks.
      for (const int64_t at : {9L, 99L, 100L}) EXPECT_EQ(flag.after(Operand::kMaster, at, infinity, with_compute), 0);
    }
  });
}

// Each operand is finite, and what comes of them is not: a square that overflows, and a weight beyond the numbers of
// bf16 (3.3895e38; half a step above them begins what rounds to infinity).
TEST_P(OptimizerTest, AdamwTellsOfWhatOverflowsInTheUpdate) {
  using Operand = NonfiniteFlag::Operand;
  const NonfiniteFlag flag(device(), dtype(), wide());
  EXPECT_EQ(flag.after(Operand::kGrad, 700, wide() == DType::kF64 ? 1e180 : 1e22), 1);
  EXPECT_EQ(flag.after(Operand::kGrad, 700, 1e15), 0);
  EXPECT_EQ(flag.after(Operand::kMaster, 700, 3.394e38), 0) << "rounds down";
  EXPECT_EQ(flag.after(Operand::kMaster, 700, 3.4e38), dtype() == DType::kBF16 ? 1 : 0);
  EXPECT_EQ(flag.after(Operand::kMaster, 700, 3.4e38, /*with_compute=*/false), 0);
}

TEST_P(OptimizerTest, SumSquaresIsExactHoweverTheWorkIsShared) {
  // Small integers: every partial sum is exact in f64.
  Values values = random_values(100003, 3.0);
  for (double& value : values) value = std::round(value);
  const Values noise = random(70001);
  std::vector<char> first;
  for_every_sharing_of_work([&](Backend& backend, const std::string& what) {
    TestTensor out(backend, DType::kF64, {1});
    backend.run(ops::SumSquares{TestTensor(backend, dtype(), {100003}, values), {{0, 100003}}, out});
    EXPECT_EQ(out.values()[0], dot(values, values));
    backend.run(ops::SumSquares{TestTensor(backend, dtype(), {70001}, noise), {{0, 70001}}, out});
    EXPECT_NEAR(out.values()[0], dot(noise, noise), 1e-11 * dot(noise, noise));  // 70001 roundings of 1e-16
    if (first.empty()) first = out.raw();
    EXPECT_EQ(out.raw(), first) << what;
  });
}

// The trainer compares a sum over a shard in a compact buffer with one over the same elements of a big buffer.
TEST_P(OptimizerTest, SumSquaresOfTheSameRangesHasTheSameBitsWhereverTheyLie) {
  constexpr int64_t kSizes[] = {1, 15, 100, 16384, 40001};
  for (const int64_t size_a : kSizes) {
    for (const int64_t size_b : {0, 33, 20000}) {
      const Values a = random(size_a), b = random(size_b);
      const auto sum = [&](int64_t before, int64_t between, const std::vector<bool>& which) {
        Values buffer(static_cast<size_t>(before), std::nan(""));
        buffer.insert(buffer.end(), a.begin(), a.end());
        buffer.insert(buffer.end(), static_cast<size_t>(between), std::nan(""));
        buffer.insert(buffer.end(), b.begin(), b.end());
        buffer.push_back(std::nan(""));
        std::vector<FlatRange> ranges;
        if (which[0]) ranges.push_back({before, size_a});
        if (which[1]) ranges.push_back({before + size_a + between, size_b});
        TestTensor out(device(), DType::kF64, {1});
        device().run(
            ops::SumSquares{TestTensor(device(), dtype(), {static_cast<int64_t>(buffer.size())}, buffer), ranges, out});
        return out.values()[0];
      };
      const double both = sum(0, 0, {true, true});
      // n roundings of 1e-16 in a sum of positive terms.
      EXPECT_NEAR(both, dot(a, a) + dot(b, b), 1.2e-16 * static_cast<double>(size_a + size_b) * both);
      for (const int64_t before : {1, 3, 8, 17}) {
        for (const int64_t between : {0, 1, 5, 64})
          EXPECT_EQ(sum(before, between, {true, true}), both) << before << " " << between;
      }
      EXPECT_EQ(sum(0, 0, {true, false}) + sum(5, 2, {false, true}), both);
    }
  }
}

TEST_P(OptimizerTest, SumSquaresOfNoRangeIsZero) {
  TestTensor out(device(), DType::kF64, {1});
  device().run(ops::SumSquares{TestTensor(device(), dtype(), {10}), {}, out});
  EXPECT_EQ(out.values()[0], 0.0);
}

NX_FOR_EVERY_TYPE(OptimizerTest);

TEST(Optimizer, BlocksOutsideTheBufferAreRefused) {
  TestTensor x(device(), DType::kF32, {10});
  const std::vector<UpdateBlock> blocks = {{.offset = 4, .state_offset = 4, .rows = 1, .cols = 7, .row_stride = 0}};
  EXPECT_THROW(device().run(ops::AdamWUpdate{{}, blocks, Tensor(), x, x, x, x, Tensor(), Tensor()}), Error);
  TestTensor state(device(), DType::kF32, {4});
  const std::vector<UpdateBlock> sharded = {{.offset = 4, .state_offset = 1, .cols = 4}};
  EXPECT_THROW(device().run(ops::AdamWUpdate{{}, sharded, Tensor(), x, state, state, state, Tensor(), Tensor()}),
               Error);
}

TEST(Optimizer, ClippingNeedsASumOfSquares) {
  TestTensor x(device(), DType::kF32, {10});
  AdamW op;
  op.clip = 1.0;
  EXPECT_THROW(device().run(ops::AdamWUpdate{op, {}, Tensor(), x, x, x, x, Tensor(), Tensor()}), Error);
  EXPECT_THROW(device().run(ops::AdamWUpdate{op, {}, x, x, x, x, x, Tensor(), Tensor()}), Error);
}

}  // namespace
}  // namespace nexus::test
