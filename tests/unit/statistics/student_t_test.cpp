#include "statistics/student_t.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace nexus {
namespace {

TEST(StudentT, QuantilesAreThoseOfPrintedTables) {
  // Fisher and Yates, table III, as every textbook prints it: degrees; 95, 97.5 and 99.5 %.
  const double table[][4] = {{1, 6.314, 12.706, 63.657}, {2, 2.920, 4.303, 9.925},  {3, 2.353, 3.182, 5.841},
                             {4, 2.132, 2.776, 4.604},   {5, 2.015, 2.571, 4.032},  {9, 1.833, 2.262, 3.250},
                             {10, 1.812, 2.228, 3.169},  {30, 1.697, 2.042, 2.750}, {120, 1.658, 1.980, 2.617}};
  for (const auto& [degrees, at_95, at_975, at_995] : table) {
    // Half a unit of the last printed digit.
    EXPECT_NEAR(student_t_quantile(0.95, degrees), at_95, 0.0005) << degrees;
    EXPECT_NEAR(student_t_quantile(0.975, degrees), at_975, 0.0005) << degrees;
    EXPECT_NEAR(student_t_quantile(0.995, degrees), at_995, 0.0005) << degrees;
  }
}

TEST(StudentT, QuantilesOfOneAndTwoDegreesAreTheirClosedForms) {
  for (const double p : {0.5001, 0.6, 0.9, 0.975, 0.9999, 1 - 1e-9}) {
    const double one = std::tan(std::numbers::pi * (p - 0.5));
    const double two = (2 * p - 1) / std::sqrt(2 * p * (1 - p));
    // Relative: 1 - p is known to 1e-16 / 1e-9 only in the farthest tail, and the closed forms suffer alike.
    EXPECT_NEAR(student_t_quantile(p, 1) / one, 1, 1e-6 * std::max(1e-4, 1e-9 / (1 - p))) << p;
    EXPECT_NEAR(student_t_quantile(p, 2) / two, 1, 1e-6 * std::max(1e-4, 1e-9 / (1 - p))) << p;
  }
}

TEST(StudentT, QuantilesOfManyDegreesAreNearlyTheNormalOnes) {
  // The distance is (z^3 + z) / 4 / degrees = 2.37e-4 at 1e4; the next term is a thousandth of it.
  EXPECT_NEAR(student_t_quantile(0.975, 1e4), 1.959963985 + 2.372e-4, 1e-6);
}

TEST(StudentT, IsSymmetric) {
  EXPECT_EQ(student_t_quantile(0.5, 3), 0);
  EXPECT_EQ(student_t_quantile(0.25, 3), -student_t_quantile(0.75, 3));  // both are exact binary fractions
  EXPECT_NEAR(student_t_tail(-1.5, 4) + student_t_tail(1.5, 4), 1, 1e-15);
  EXPECT_EQ(student_t_tail(0, 4), 0.5);
}

TEST(StudentT, TailTakesTheQuantileBack) {
  for (const double degrees : {1.0, 2.5, 9.0, 57.0, 4000.0})
    for (const double p : {0.6, 0.975, 0.9995})
      // Lost in logarithms of gamma functions: some 1e-16 of a number near 3e4 at most.
      EXPECT_NEAR(student_t_tail(student_t_quantile(p, degrees), degrees) / (1 - p), 1, 1e-11) << degrees << " " << p;
}

}  // namespace
}  // namespace nexus
