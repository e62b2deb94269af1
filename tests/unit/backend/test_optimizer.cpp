#include "unit/backend/backend_test.h"

namespace nexus::test {
namespace {

class OptimizerTest : public EveryType {};

// Four blocks with their own rates, decays and step counts; elements 3..9 and the gaps between rows belong to none.
std::vector<UpdateBlock> make_blocks() {
  return {{.offset = 0,
           .rows = 1,
           .cols = 3,
           .row_stride = 0,
           .learning_rate = 1e-2,
           .weight_decay = 0.1,
           .step1 = 1,
           .step2 = 1},
          {.offset = 10,
           .rows = 4,
           .cols = 7,
           .row_stride = 20,
           .learning_rate = 3e-3,
           .weight_decay = 0.0,
           .step1 = 9,
           .step2 = 4},
          {.offset = 17,
           .rows = 4,
           .cols = 13,
           .row_stride = 20,
           .learning_rate = 6e-3,
           .weight_decay = 0.1,
           .step1 = 2,
           .step2 = 100},
          {.offset = 100,
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
    const TestTensor sum(cpu(), DType::kF64, {1}, {squares}), gradient(cpu(), wide(), {kCount}, grad);
    TestTensor moment1(cpu(), wide(), {kCount}, m), moment2(cpu(), wide(), {kCount}, v);
    TestTensor parameters(cpu(), wide(), {kCount}, master), compute(cpu(), dtype(), {kCount});
    cpu().adamw(op, blocks, sum, gradient, moment1, moment2, parameters, compute);

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
  const std::vector<UpdateBlock> blocks = {
      {.offset = 0, .rows = 1, .cols = 50, .row_stride = 0, .learning_rate = 0.1, .weight_decay = 0.5}};
  const Values ones(50, 1.0), zeros(50, 0.0);
  TestTensor m(cpu(), wide(), {50}, zeros), v(cpu(), wide(), {50}, zeros), x(cpu(), wide(), {50}, ones);
  cpu().adamw({}, blocks, Tensor(), TestTensor(cpu(), wide(), {50}, ones), m, v, x, Tensor());
  // First step: 1 - 0.1 * 0.5 - 0.1 * sign(gradient), up to eps = 1e-8 and one rounding of f32.
  expect_close(x.values(), Values(50, 0.85), 0, 2e-7, "parameters");
}

TEST_P(OptimizerTest, AdamwLetsNanThrough) {
  const std::vector<UpdateBlock> blocks = {{.offset = 0, .rows = 1, .cols = 20, .row_stride = 0, .learning_rate = 0.1}};
  AdamW op;
  op.clip = 1.0;
  TestTensor m(cpu(), wide(), {20}, Values(20, 0.0)), v(cpu(), wide(), {20}, Values(20, 0.0));
  TestTensor x(cpu(), wide(), {20}, Values(20, 1.0));
  cpu().adamw(op, blocks, TestTensor(cpu(), DType::kF64, {1}, {std::nan("")}),
              TestTensor(cpu(), wide(), {20}, Values(20, 1.0)), m, v, x, Tensor());
  for (const double value : x.values()) EXPECT_TRUE(std::isnan(value));
}

TEST_P(OptimizerTest, SumSquaresIsExactAndIndependentOfThreads) {
  // Small integers: every partial sum is exact in f64.
  Values values = random_values(100003, 3.0);
  for (double& value : values) value = std::round(value);
  const Values noise = random(70001);
  std::vector<char> first;
  for (const int threads : {1, 2, 3}) {
    const std::unique_ptr<Backend> backend = make_cpu_backend(threads);
    TestTensor out(*backend, DType::kF64, {1});
    backend->sum_squares(TestTensor(*backend, dtype(), {100003}, values), out);
    EXPECT_EQ(out.values()[0], dot(values, values));
    backend->sum_squares(TestTensor(*backend, dtype(), {70001}, noise), out);
    EXPECT_NEAR(out.values()[0], dot(noise, noise), 1e-11 * dot(noise, noise));  // 70001 roundings of 1e-16
    if (first.empty()) first = out.raw();
    EXPECT_EQ(out.raw(), first) << threads << " threads";
  }
  make_cpu_backend(2);
}

NX_FOR_EVERY_TYPE(OptimizerTest);

TEST(Optimizer, BlocksOutsideTheBufferAreRefused) {
  TestTensor x(cpu(), DType::kF32, {10});
  const std::vector<UpdateBlock> blocks = {{.offset = 4, .rows = 1, .cols = 7, .row_stride = 0}};
  EXPECT_THROW(cpu().adamw({}, blocks, Tensor(), x, x, x, x, Tensor()), Error);
}

}  // namespace
}  // namespace nexus::test
