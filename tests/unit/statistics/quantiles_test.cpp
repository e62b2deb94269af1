#include "statistics/quantiles.h"

#include <limits>

#include "support/expect_error.h"

namespace nexus {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Median, IsTheMiddleOrTheMeanOfTwo) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 2, 3}), 2.5);
  EXPECT_EQ(median({7}), 7);
  EXPECT_NEXUS_ERROR(median({}), ErrorKind::kInternal, ::testing::HasSubstr("no values"));
}

TEST(Quantile, IsAValueOfTheSampleAlsoWhereOthersAreInfinite) {
  const std::vector<double> values = {kInfinity, 3, 1, -kInfinity, 2};
  EXPECT_EQ(quantile(values, 0), -kInfinity);
  EXPECT_EQ(quantile(values, 0.3), 1);
  EXPECT_EQ(quantile(values, 0.5), 2);
  EXPECT_EQ(quantile(values, 1), kInfinity);
}

}  // namespace
}  // namespace nexus
