#include "unit/backend/backend_test.h"

namespace nexus::test {
namespace {

struct MatmulCase {
  int64_t m, n, k, batch;
  int64_t gap;  // extra elements in every leading dimension and between batches
};
const std::vector<MatmulCase> kMatmulCases = {{1, 1, 1, 1, 0},    {1, 33, 17, 1, 0},  {37, 1, 20, 1, 5},
                                              {19, 23, 1, 1, 0},  {64, 48, 96, 1, 0}, {65, 31, 130, 1, 3},
                                              {33, 47, 65, 3, 0}, {16, 9, 40, 3, 7}};

// One operand with its values as stored.
struct MatmulOperand {
  MatmulOperand(DType dtype, int64_t rows, int64_t cols, bool transposed, const MatmulCase& size, Values initial = {})
      : stride((transposed ? cols : rows) * ((transposed ? rows : cols) + size.gap) + size.gap),
        values(initial.empty() ? random_values(stride * size.batch) : std::move(initial)),
        tensor(device(), dtype, {stride * size.batch}, values) {
    for (double& value : values) value = rounded(dtype, value);
    const int64_t stored_rows = transposed ? cols : rows, stored_cols = transposed ? rows : cols;
    mat = Mat::view(tensor, stored_rows, stored_cols, stored_cols + size.gap);
    if (size.batch > 1) mat = mat.batched(size.batch, stride);
    mat.transposed = transposed;
  }
  int64_t stride;
  Values values;
  TestTensor tensor;
  Mat mat;
};

class MatmulTest : public EveryType {
 protected:
  // c of `result_type`, checked everywhere: gaps between rows and batches must keep their NaN.
  void check(const MatmulCase& size, bool transpose_a, bool transpose_b, float beta, DType result_type) {
    SCOPED_TRACE(::testing::Message() << size.m << "x" << size.n << "x" << size.k << " batch " << size.batch << " gap "
                                      << size.gap << " transposes " << transpose_a << transpose_b << " beta " << beta
                                      << " result " << name_of(result_type));
    const MatmulOperand a(dtype(), size.m, size.k, transpose_a, size), b(dtype(), size.k, size.n, transpose_b, size);
    const Values unread((size.m * (size.n + size.gap) + size.gap) * size.batch, std::nan(""));
    MatmulOperand c = beta == 0 ? MatmulOperand(result_type, size.m, size.n, false, size, unread)
                                : MatmulOperand(result_type, size.m, size.n, false, size);
    Values expected = c.values;
    if (beta == 0) std::fill(expected.begin(), expected.end(), 0.0);
    reference::add_matmul(a.mat, a.values.data(), b.mat, b.values.data(), c.mat, expected.data());
    device().run(ops::MatMul{a.mat, b.mat, c.mat, beta});
    const Values actual = c.tensor.values();
    const double relative_error = result_type == DType::kBF16 ? relative() : wide_relative();
    for (int64_t i = 0; i < static_cast<int64_t>(actual.size()); ++i) {
      const size_t at = static_cast<size_t>(i);
      const int64_t in_batch = i % c.stride;
      const bool inside = in_batch < size.m * c.mat.ld && in_batch % c.mat.ld < size.n;
      if (!inside) {
        ASSERT_TRUE(actual[at] == c.values[at] || (std::isnan(actual[at]) && std::isnan(c.values[at]))) << "gap " << i;
        continue;
      }
      // A sum of k products of unit normals (and c).
      const double error = 2 * sum_error(size.k + 1);
      const auto near = [&](double value) {
        return std::abs(actual[at] - value) <= relative_error * std::abs(value) + error;
      };
      // cuBLASLt may round the product to a bf16 result's type before it adds that to c.
      const double product = expected[at] - (beta == 0 ? 0.0 : c.values[at]);
      const auto rounded_twice = [&](double sum) { return near(rounded(result_type, sum) + c.values[at]); };
      const bool added_in_bf16 = nexus::testing::kOnGpu && result_type == DType::kBF16 && beta != 0;
      ASSERT_TRUE(near(expected[at]) ||
                  (added_in_bf16 && (rounded_twice(product - error) || rounded_twice(product + error))))
          << i << ": " << actual[at] << " should be " << expected[at] << " = " << product << " + c";
    }
  }
};

TEST_P(MatmulTest, MatchesTheLoopsForAllTransposesStridesBatchesAndBetas) {
  for (const MatmulCase& size : kMatmulCases) {
    for (const bool transpose_a : {false, true}) {
      for (const bool transpose_b : {false, true}) {
        for (const float beta : {0.0f, 1.0f}) {
          check(size, transpose_a, transpose_b, beta, dtype());
          if (wide() != dtype()) check(size, transpose_a, transpose_b, beta, wide());
        }
      }
    }
  }
}

TEST_P(MatmulTest, TwoCallsAgreeBitForBit) {
  const MatmulCase size{130, 257, 300, 1, 0};
  const MatmulOperand a(dtype(), size.m, size.k, false, size), b(dtype(), size.k, size.n, true, size);
  TestTensor first(device(), dtype(), {size.m, size.n}), second(device(), dtype(), {size.m, size.n});
  device().run(ops::MatMul{a.mat, b.mat, first.tensor()});
  device().run(ops::MatMul{a.mat, b.mat, second.tensor()});
  EXPECT_EQ(first.raw(), second.raw());
}

TEST_P(MatmulTest, ColumnsOfAWiderMatrixCanBeWritten) {
  // Three projections side by side in one buffer: the batch stride is smaller than a row.
  constexpr int64_t kRows = 5, kInner = 12, kColumns = 7;
  const Values x = random(kRows * kInner), w = random(3 * kColumns * kInner);
  const TestTensor input(device(), dtype(), {kRows, kInner}, x), weights(device(), dtype(), {3 * kColumns, kInner}, w);
  TestTensor together(device(), dtype(), {kRows, 3 * kColumns}), apart(device(), dtype(), {kRows, 3 * kColumns});
  device().run(ops::MatMul{input.tensor(), Mat(weights.tensor()).t(), together.tensor()});
  for (int64_t g = 0; g < 3; ++g)
    device().run(ops::MatMul{input.tensor(), Mat(weights.tensor().rows(g * kColumns, kColumns)).t(),
                             Mat::view(apart, kRows, kColumns, 3 * kColumns, g * kColumns)});
  // Both are sums of 12 products, perhaps in another order.
  expect_close(apart.values(), together.values(), relative(), 2 * sum_error(kInner), "slices");
  TestTensor batched(device(), dtype(), {kRows, 3 * kColumns});
  device().run(ops::MatMul{Mat(input.tensor()).batched(3, 0),
                           Mat::view(weights, kColumns, kInner, kInner).t().batched(3, kColumns * kInner),
                           Mat::view(batched, kRows, kColumns, 3 * kColumns).batched(3, kColumns)});
  expect_close(batched.values(), together.values(), relative(), 2 * sum_error(kInner), "batch");
}

TEST_P(MatmulTest, NanReachesItsRowOfTheResult) {
  Values x(static_cast<size_t>(4 * 20), 1.0);
  x[25] = std::nan("");
  const TestTensor a(device(), dtype(), {4, 20}, x), b(device(), dtype(), {20, 6}, Values(120, 0.0));
  TestTensor c(device(), dtype(), {4, 6});
  device().run(ops::MatMul{a.tensor(), b.tensor(), c.tensor()});
  const Values values = c.values();
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(std::isnan(values[i]), i / 6 == 1) << i;
}

NX_FOR_EVERY_TYPE(MatmulTest);

TEST(Matmul, WrongShapesAreRefused) {
  const TestTensor a(device(), DType::kF32, {3, 4}), b(device(), DType::kF32, {5, 2}),
      wide(device(), DType::kF64, {4, 2});
  TestTensor c(device(), DType::kF32, {3, 2});
  EXPECT_THROW(device().run(ops::MatMul{a.tensor(), b.tensor(), c.tensor()}), Error);
  EXPECT_THROW(device().run(ops::MatMul{a.tensor(), wide.tensor(), c.tensor()}), Error);
}

}  // namespace
}  // namespace nexus::test
