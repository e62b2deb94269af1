#include <gmock/gmock.h>

#include "unit/backend/backend_test.h"

namespace nexus::test {
namespace {

class ElementwiseTest : public EveryType {};

TEST_P(ElementwiseTest, CopyConvertsBetweenAllTypes) {
  for (const DType other : kComputeTypes) {
    const Values values = random(20011);
    const TestTensor from(device(), dtype(), {20011}, values);
    TestTensor to(device(), other, {20011});
    device().run(ops::Copy{from, to});
    Values expected = values;
    for (double& value : expected) value = rounded(other, value);
    EXPECT_EQ(to.values(), expected) << name_of(other);
  }
}

TEST_P(ElementwiseTest, CopyKeepsNanAndInfinity) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const DType other : kComputeTypes) {
    TestTensor to(device(), other, {3}, Values(3, 0.0));
    device().run(ops::Copy{TestTensor(device(), dtype(), {3}, {infinity, -infinity, std::nan("")}), to});
    EXPECT_EQ(to.values()[0], infinity);
    EXPECT_EQ(to.values()[1], -infinity);
    EXPECT_TRUE(std::isnan(to.values()[2]));
  }
}

TEST_P(ElementwiseTest, AddSumsIntoEveryType) {
  for (const DType other : kComputeTypes) {
    const Values x = random(17003);
    Values y = random_values(17003), expected;
    for (double& value : y) value = rounded(other, value);
    TestTensor sum(device(), other, {17003}, y);
    device().run(ops::Add{TestTensor(device(), dtype(), {17003}, x), sum});
    for (size_t i = 0; i < x.size(); ++i) expected.push_back(x[i] + y[i]);
    // One rounding in the target's type; a sum of f32 and bf16 rounds to f32 before.
    const double step = other == DType::kF64 ? 0.0 : (other == DType::kF32 ? 6e-8 : 2.0 / 512 + 6e-8);
    expect_close(sum.values(), expected, step, 0, std::string(name_of(other)));
  }
}

TEST_P(ElementwiseTest, ZeroClearsEveryByte) {
  TestTensor x(device(), dtype(), {70001});
  device().run(ops::Zero{x});
  EXPECT_EQ(x.raw(), std::vector<char>(static_cast<size_t>(70001 * size_of(dtype())), 0));
}

TEST_P(ElementwiseTest, ScaleColumnsMultipliesTheColumnsFromOneOnAndNoOthers) {
  for (const auto& [shape, begin] :
       {std::pair{Shape{7, 33}, 20}, {Shape{50, 3, 257}, 1}, {Shape{3, 1000}, 0}, {Shape{5, 9}, 9}, {Shape{11}, 4}}) {
    for (const double factor : {0.3, 0.0}) {
      const Values values = random(shape.count());
      Values expected = values;
      const int64_t width = shape[shape.rank() - 1];
      for (size_t i = 0; i < expected.size(); ++i)
        if (static_cast<int64_t>(i) % width >= begin) expected[i] *= factor;
      TestTensor x(device(), dtype(), shape, values);
      device().run(ops::ScaleColumns{x, begin, factor});
      expect_close(x.values(), expected, relative(), 0, shape.str());
      EXPECT_EQ(columns(x.values(), width, 0, begin), columns(values, width, 0, begin)) << shape.str();
    }
  }
  TestTensor x(device(), dtype(), {4, 6});
  EXPECT_THROW(device().run(ops::ScaleColumns{x, 7, 0.5}), Error);
  EXPECT_THROW(device().run(ops::ScaleColumns{x, -1, 0.5}), Error);
}

TEST(Elementwise, SumsAreAddedInF64) {
  const Values x = random_values(100003, 3.0);
  Values stored = x;
  for (double& value : stored) value = rounded(DType::kF32, value);
  double expected = 1e6;
  for (const double value : stored) expected += value;
  const TestTensor values(device(), DType::kF32, {100003}, x);
  TestTensor total(device(), DType::kF64, {1}, {1e6}), again(device(), DType::kF64, {1}, {1e6});
  device().run(ops::AddSum{values, total});
  device().run(ops::AddSum{values, again});
  EXPECT_NEAR(total.values()[0], expected, 1e-5);  // 1e5 roundings of 1e6 * 1.1e-16 at most
  EXPECT_EQ(total.raw(), again.raw());
  EXPECT_THROW(device().run(ops::AddSum{values, values}), Error);
}

NX_FOR_EVERY_TYPE(ElementwiseTest);

TEST(Elementwise, IntegersAreCopiedAsTheyAre) {
  const std::vector<int32_t> ids = {7, -1, 2147483647};
  TestTensor to(device(), DType::kI32, {3});
  device().run(ops::Copy{TestTensor(device(), ids), to});
  EXPECT_EQ(to.values(), Values({7, -1, 2147483647}));
  TestTensor wrong(device(), DType::kF32, {3});
  EXPECT_THROW(device().run(ops::Copy{to, wrong}), Error);
}

// Matrices of up to 100 KB: runs of one piece and of several, rows apart and joined, side by side and stacked.
struct Layout {
  int64_t rows, cols, ld, batch, stride;
};
struct CopyCase {
  Layout from, to;
};

const CopyCase kCopies[] = {
    {{1, 1, 1, 1, 0}, {1, 1, 1, 1, 0}},
    {{3, 5, 5, 1, 0}, {3, 5, 9, 1, 0}},                          // into columns of a wider matrix
    {{7, 33, 100, 3, 33}, {7, 33, 33, 3, 231}},                  // groups side by side into groups one after the other
    {{7, 33, 33, 3, 240}, {7, 33, 101, 3, 34}},                  // and back, with gaps
    {{300, 80, 80, 1, 0}, {300, 80, 80, 1, 0}},                  // one contiguous run of several pieces
    {{2, 20011, 20011, 2, 40022}, {2, 20011, 20012, 2, 40023}},  // rows of several pieces
    {{4, 6, 6, 5, 0}, {4, 6, 6, 5, 24}},                         // one source for all
    {{0, 6, 6, 2, 0}, {0, 6, 6, 2, 0}},                          // nothing
};

int64_t extent_of(const Layout& m) {
  return m.rows == 0 ? 1 : (m.batch - 1) * m.stride + (m.rows - 1) * m.ld + m.cols + 3;
}

TEST(CopyMatrix, CopiesTheElementsOfEveryTypeAndNothingElse) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF64, DType::kI32}) {
    for (const auto& [from, to] : kCopies) {
      SCOPED_TRACE(::testing::Message() << name_of(dtype) << " " << to.batch << "x" << to.rows << "x" << to.cols);
      Values values = random_values(extent_of(from), 1000.0);
      for (double& value : values) value = dtype == DType::kI32 ? std::round(value) : rounded(dtype, value);
      const TestTensor source(device(), dtype, {extent_of(from)}, values);
      TestTensor target(device(), dtype, {extent_of(to)}, Values(static_cast<size_t>(extent_of(to)), -1.0));
      const Mat a = Mat::view(source, from.rows, from.cols, from.ld).batched(from.batch, from.stride);
      const Mat b = Mat::view(target, to.rows, to.cols, to.ld).batched(to.batch, to.stride);
      Values expected = target.values();
      reference::copy_matrix(a, values.data(), b, expected.data());
      device().run(ops::CopyMatrix{a, b});
      EXPECT_EQ(target.values(), expected);
    }
  }
}

TEST(CopyMatrix, RefusesOtherShapesTypesAndOverlappingTargets) {
  const TestTensor x(device(), DType::kF32, {4, 6}), other(device(), DType::kF64, {4, 6});
  TestTensor y(device(), DType::kF32, {4, 6});
  EXPECT_NO_THROW(device().run(ops::CopyMatrix{x.tensor(), y.tensor()}));
  EXPECT_THROW(device().run(ops::CopyMatrix{x.tensor(), other.tensor()}), Error);
  EXPECT_THROW(device().run(ops::CopyMatrix{x.tensor(), Mat::view(y, 4, 5, 6)}), Error);
  EXPECT_THROW(device().run(ops::CopyMatrix{Mat(x.tensor()).t(), Mat(y.tensor()).t()}), Error);
  EXPECT_THROW(device().run(ops::CopyMatrix{Mat::view(x, 2, 3, 6).batched(2, 3), Mat::view(y, 2, 3, 3).batched(2, 5)}),
               Error);
  EXPECT_THROW(device().run(ops::CopyMatrix{Mat::view(x, 2, 3, 6).batched(2, 3), Mat::view(y, 2, 3, 6).batched(2, 4)}),
               Error);
}

TEST(CpuBackend, DescribesWhatChangesBits) {
  NX_CPU_ONLY("a fact of the CPU back end");
  EXPECT_EQ(device().name(), "cpu");
  EXPECT_THAT(device().description(),
              ::testing::AllOf(::testing::HasSubstr("2 threads"), ::testing::HasSubstr("OpenBLAS")));
}

}  // namespace
}  // namespace nexus::test
