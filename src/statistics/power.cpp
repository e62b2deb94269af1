#include "statistics/power.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "statistics/student_t.h"

namespace nexus {
namespace {

double normal_below(double x) {
  return std::erfc(-x / std::numbers::sqrt2) / 2;
}

// P(|T| > limit) of a noncentral t: T = (Z + shift) / S, S the root of a chi-squared over its degrees of freedom. Given
// S the answer is normal; this is its mean over the density of S, by Simpson's rule.
double noncentral_t_beyond(double limit, double degrees, double shift) {
  constexpr int kSteps = 2000;  // even; error below 1e-8: the narrowest feature, at 1 degree, is 20 steps wide
  // Ten standard deviations of S, which is 1 / sqrt(2 degrees) or less, to either side of its middle.
  const double reach = 10 / std::sqrt(2 * degrees), from = std::max(0.0, 1 - reach), step = (1 + reach - from) / kSteps;
  const double log_scale = std::log(2.0) + degrees / 2 * std::log(degrees / 2) - std::lgamma(degrees / 2);
  double within = 0;
  for (int i = 0; i <= kSteps; ++i) {
    const double s = from + i * step;
    const double log_power = degrees == 1 ? 0.0 : (degrees - 1) * std::log(s);  // -infinity at 0: density 0
    const double density = std::exp(log_scale + log_power - degrees * s * s / 2);
    const double weight = i == 0 || i == kSteps ? 1 : i % 2 == 1 ? 4 : 2;
    within += weight * density * (normal_below(limit * s - shift) - normal_below(-limit * s - shift));
  }
  return 1 - within * step / 3;
}

}  // namespace

double chance_to_show(double difference, double sd, int64_t n) {
  NX_CHECK(n >= 2 && sd > 0, "n {}, sd {}", n, sd);
  const auto degrees = static_cast<double>(n - 1);
  const double shift = std::abs(difference) / sd * std::sqrt(static_cast<double>(n));
  return noncentral_t_beyond(student_t_quantile(1 - kTestLevel / 2, degrees), degrees, shift);
}

double smallest_difference(double sd, int64_t n) {
  double low = 0, high = 1;  // in units of sd
  while (chance_to_show(high * sd, sd, n) < kTestPower) high *= 2;
  while (high - low > 1e-9 * high) {
    const double middle = (low + high) / 2;
    (chance_to_show(middle * sd, sd, n) < kTestPower ? low : high) = middle;
  }
  return high * sd;
}

std::optional<int64_t> seeds_needed(double difference, double sd) {
  NX_CHECK(difference != 0, "a difference of 0");
  if (chance_to_show(difference, sd, kMostSeeds) < kTestPower) return std::nullopt;
  int64_t too_few = 1, enough = kMostSeeds;
  while (enough - too_few > 1) {
    const int64_t middle = too_few + (enough - too_few) / 2;
    (chance_to_show(difference, sd, middle) < kTestPower ? too_few : enough) = middle;
  }
  return enough;
}

}  // namespace nexus
