#include "tensor/finite.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace nexus {
namespace {

template <typename T>
class Finite : public ::testing::Test {
 protected:
  static T make(double value) { return T(static_cast<float>(value)); }
  static int64_t first(const std::vector<T>& values) {
    return first_nonfinite(values.data(), DTypeOf<T>::value, static_cast<int64_t>(values.size()));
  }
};
using Types = ::testing::Types<float, double, Bf16>;
TYPED_TEST_SUITE(Finite, Types);

TYPED_TEST(Finite, TheLargestAndSmallestNumbersAreFinite) {
  // 3.3895e38 is the greatest number of bf16.
  for (const double value : {0.0, -0.0, 1.0, -3.3895e38, 3.3895e38, 1e-45, -1e-38})
    EXPECT_EQ(this->first(std::vector<TypeParam>(10000, this->make(value))), -1) << value;
  EXPECT_EQ(this->first({}), -1);
}

TYPED_TEST(Finite, TheFirstOfSeveralIsFoundWhereverItLies) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double value : {infinity, -infinity, std::nan("")}) {
    for (const size_t at : {size_t{0}, size_t{1}, size_t{4095}, size_t{4096}, size_t{9999}}) {
      std::vector<TypeParam> values(10000, this->make(-2.5));
      values[at] = values.back() = this->make(value);
      EXPECT_EQ(this->first(values), static_cast<int64_t>(at)) << value;
    }
  }
}

}  // namespace
}  // namespace nexus
