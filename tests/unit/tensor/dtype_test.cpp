#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/rng.h"

namespace nexus {
namespace {

float from_bits(uint32_t bits) {
  return std::bit_cast<float>(bits);
}

// Nearest value with 8 significant bits, ties to even, by f64 arithmetic; for normal bf16 results only.
float rounded_by_arithmetic(float value) {
  const int exponent = std::ilogb(value);
  const double unit = std::ldexp(1.0, exponent - 7);
  return static_cast<float>(std::nearbyint(static_cast<double>(value) / unit) * unit);
}

TEST(DType, KnowsSizesAndNames) {
  EXPECT_EQ(size_of(DType::kF32), 4);
  EXPECT_EQ(size_of(DType::kBF16), 2);
  EXPECT_EQ(size_of(DType::kF64), 8);
  EXPECT_EQ(size_of(DType::kI32), 4);
  EXPECT_EQ(name_of(DType::kBF16), "bf16");
  EXPECT_EQ(DTypeOf<Bf16>::value, DType::kBF16);
}

TEST(Bf16, KeepsEveryValueItCanHold) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = from_bits(bits << 16);
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(static_cast<float>(Bf16(value)))) << bits;
    else
      EXPECT_EQ(Bf16(value).bits, bits);
  }
}

TEST(Bf16, RoundsTiesToEven) {
  EXPECT_EQ(Bf16(from_bits(0x3F808000)).bits, 0x3F80);  // halfway, lower neighbour even
  EXPECT_EQ(Bf16(from_bits(0x3F818000)).bits, 0x3F82);  // halfway, upper neighbour even
  EXPECT_EQ(Bf16(from_bits(0x3F807FFF)).bits, 0x3F80);
  EXPECT_EQ(Bf16(from_bits(0x3F808001)).bits, 0x3F81);
  EXPECT_EQ(Bf16(from_bits(0xBF818000)).bits, 0xBF82);
}

TEST(Bf16, RoundsRandomValuesAsArithmeticDoes) {
  const RandomStream stream(3, "bf16");
  for (uint64_t i = 0; i < 100'000; ++i) {
    const auto value = static_cast<float>(std::ldexp(stream.normal(i), static_cast<int>(stream.below(i, 200)) - 100));
    EXPECT_EQ(static_cast<float>(Bf16(value)), rounded_by_arithmetic(value)) << value;
  }
}

TEST(Bf16, KeepsInfinityAndNanAndOverflowsToInfinity) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(static_cast<float>(Bf16(kInfinity)), kInfinity);
  EXPECT_EQ(static_cast<float>(Bf16(-kInfinity)), -kInfinity);
  EXPECT_EQ(static_cast<float>(Bf16(std::numeric_limits<float>::max())), kInfinity);
  EXPECT_TRUE(std::isnan(static_cast<float>(Bf16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(std::isnan(static_cast<float>(Bf16(from_bits(0x7F800001)))));  // a NaN whose payload is in the lost half
}

TEST(Bf16, KeepsTheSignOfZero) {
  EXPECT_EQ(Bf16(0.0f).bits, 0);
  EXPECT_EQ(Bf16(-0.0f).bits, 0x8000);
  EXPECT_EQ(Bf16().bits, 0);
}

}  // namespace
}  // namespace nexus
