#include <gmock/gmock.h>

#include "unit/backend/backend_test.h"

namespace nexus::test {
namespace {

class ElementwiseTest : public EveryType {};

TEST_P(ElementwiseTest, CopyConvertsBetweenAllTypes) {
  for (const DType other : {DType::kF32, DType::kBF16, DType::kF64}) {
    const Values values = random(20011);
    const TestTensor from(cpu(), dtype(), {20011}, values);
    TestTensor to(cpu(), other, {20011});
    cpu().copy(from, to);
    Values expected = values;
    for (double& value : expected) value = rounded(other, value);
    EXPECT_EQ(to.values(), expected) << name_of(other);
  }
}

TEST_P(ElementwiseTest, CopyKeepsNanAndInfinity) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const DType other : {DType::kF32, DType::kBF16, DType::kF64}) {
    TestTensor to(cpu(), other, {3}, Values(3, 0.0));
    cpu().copy(TestTensor(cpu(), dtype(), {3}, {infinity, -infinity, std::nan("")}), to);
    EXPECT_EQ(to.values()[0], infinity);
    EXPECT_EQ(to.values()[1], -infinity);
    EXPECT_TRUE(std::isnan(to.values()[2]));
  }
}

TEST_P(ElementwiseTest, AddSumsIntoEveryType) {
  for (const DType other : {DType::kF32, DType::kBF16, DType::kF64}) {
    const Values x = random(17003);
    Values y = random_values(17003), expected;
    for (double& value : y) value = rounded(other, value);
    TestTensor sum(cpu(), other, {17003}, y);
    cpu().add(TestTensor(cpu(), dtype(), {17003}, x), sum);
    for (size_t i = 0; i < x.size(); ++i) expected.push_back(x[i] + y[i]);
    // One rounding in the target's type; a sum of f32 and bf16 rounds to f32 before.
    const double step = other == DType::kF64 ? 0.0 : (other == DType::kF32 ? 6e-8 : 2.0 / 512 + 6e-8);
    expect_close(sum.values(), expected, step, 0, std::string(name_of(other)));
  }
}

TEST_P(ElementwiseTest, ZeroClearsEveryByte) {
  TestTensor x(cpu(), dtype(), {70001});
  cpu().zero(x);
  EXPECT_EQ(x.raw(), std::vector<char>(static_cast<size_t>(70001 * size_of(dtype())), 0));
}

NX_FOR_EVERY_TYPE(ElementwiseTest);

TEST(Elementwise, IntegersAreCopiedAsTheyAre) {
  const std::vector<int32_t> ids = {7, -1, 2147483647};
  TestTensor to(cpu(), DType::kI32, {3});
  cpu().copy(TestTensor(cpu(), ids), to);
  EXPECT_EQ(to.values(), Values({7, -1, 2147483647}));
  TestTensor wrong(cpu(), DType::kF32, {3});
  EXPECT_THROW(cpu().copy(to, wrong), Error);
}

TEST(CpuBackend, DescribesWhatChangesBits) {
  EXPECT_EQ(cpu().name(), "cpu");
  EXPECT_THAT(cpu().description(), testing::AllOf(testing::HasSubstr("2 threads"), testing::HasSubstr("OpenBLAS")));
}

}  // namespace
}  // namespace nexus::test
