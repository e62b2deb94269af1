#include "backend/cpu/vector_math.h"

#include <gtest/gtest.h>

#include "backend/cpu/activations.h"
#include "support/reference_ops.h"

namespace nexus::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

double relative_error(double actual, double expected) {
  return std::abs(actual - expected) / std::abs(expected);
}

TEST(VectorMath, ExpIsAsAccurateAsFloatAllows) {
  // Every float result rounds once in the polynomial and once in the reduction: under 2^-22.
  for (double x = -86.999; x < 87.999; x += 0.00137) {
    const float point = static_cast<float>(x);
    ASSERT_LT(relative_error(static_cast<double>(vexp(point)), std::exp(static_cast<double>(point))), 2.4e-7) << point;
  }
}

TEST(VectorMath, ExpKeepsItsLimitsAndNan) {
  EXPECT_EQ(vexp(0.0f), 1.0f);
  EXPECT_EQ(vexp(-kInfinity), 0.0f);
  EXPECT_EQ(vexp(-100.0f), 0.0f);
  EXPECT_EQ(vexp(kInfinity), kInfinity);
  EXPECT_EQ(vexp(88.5f), kInfinity);
  EXPECT_TRUE(std::isnan(vexp(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(std::isnan(vexp(std::bit_cast<float>(0xFFFFFFFFu))));  // a payload that would leak into the exponent
}

TEST(VectorMath, NormalDistributionIsAccurateInTheTail) {
  for (double x = -12.0; x < 12.0; x += 0.00091) {
    const float point = static_cast<float>(x);
    const Normal<float> actual = normal_distribution(point);
    const Normal<double> expected = normal_distribution(static_cast<double>(point));
    // Up to |x| = 5 the error is that of exp and a division; beyond, the rounding of x * x / 2 (up to 72) enters exp.
    const double bound = std::abs(x) < 5.0 ? 1e-6 : 1e-5;
    ASSERT_LT(relative_error(static_cast<double>(actual.cumulative), expected.cumulative), bound) << point;
    ASSERT_LT(relative_error(static_cast<double>(actual.density), expected.density), bound) << point;
  }
}

template <GeluKind kKind>
void expect_gelu_matches_the_definition() {
  for (double x = -8.0; x < 8.0; x += 0.00173) {
    const float point = static_cast<float>(x);
    const ValueAndSlope<float> actual = gelu<kKind>(point);
    // 1e-6 of the value as above; the definition with 1 + tanh itself loses all digits in the negative tail, hence
    // 1e-12.
    ASSERT_NEAR(actual.value, reference::gelu(kKind, static_cast<double>(point)),
                4e-6 * std::abs(reference::gelu(kKind, static_cast<double>(point))) + 1e-12)
        << point;
    // Slopes cross zero near -0.75, so their error is measured against 1; the argument of tanh's exp rounds at 1e-6.
    ASSERT_NEAR(actual.slope, reference::gelu_slope(kKind, static_cast<double>(point)), 2e-6) << point;
  }
}

TEST(VectorMath, ErfGeluMatchesItsDefinition) {
  expect_gelu_matches_the_definition<GeluKind::kErf>();
}
TEST(VectorMath, TanhGeluMatchesItsDefinition) {
  expect_gelu_matches_the_definition<GeluKind::kTanh>();
}

TEST(VectorMath, GeluOfNanIsNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(gelu<GeluKind::kErf>(nan).value));
  EXPECT_TRUE(std::isnan(gelu<GeluKind::kErf>(nan).slope));
  EXPECT_TRUE(std::isnan(gelu<GeluKind::kTanh>(nan).value));
  EXPECT_EQ(gelu<GeluKind::kErf>(0.0f).value, 0.0f);  // growth relies on GELU(0) = 0
}

}  // namespace
}  // namespace nexus::cpu
