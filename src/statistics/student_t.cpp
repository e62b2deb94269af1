#include "statistics/student_t.h"

#include <cmath>
#include <limits>

#include "core/error.h"

namespace nexus {
namespace {

// The continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8) by Lentz's method; converges
// fast for x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;  // in place of a denominator that vanishes
  const auto nonzero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1, d = 1 / nonzero(1 - (a + b) * x / (a + 1)), fraction = d;
  for (int m = 1; m <= 10000; ++m) {
    double change = 1;
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    for (const double term : {even, odd}) {
      d = 1 / nonzero(1 + term * d);
      c = nonzero(1 + term / c);
      change = c * d;
      fraction *= change;
    }
    if (std::abs(change - 1) < 4 * std::numeric_limits<double>::epsilon()) return fraction;
  }
  NX_CHECK(false, "incomplete beta of a {}, b {} at {} does not converge", a, b, x);
  return fraction;
}

// I_x(a, b), with y = 1 - x as its own argument: near x = 1 it is known more exactly than the difference.
double incomplete_beta(double a, double b, double x, double y) {
  if (x <= 0) return 0;
  if (y <= 0) return 1;
  const double factor =
      std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log(y));
  if (x < (a + 1) / (a + b + 2)) return factor * beta_fraction(a, b, x) / a;
  return 1 - factor * beta_fraction(b, a, y) / b;
}

}  // namespace

double student_t_tail(double t, double degrees) {
  NX_CHECK(degrees > 0, "{} degrees of freedom", degrees);
  const double sum = degrees + t * t;
  const double beyond = incomplete_beta(degrees / 2, 0.5, degrees / sum, t * t / sum) / 2;
  return t >= 0 ? beyond : 1 - beyond;
}

double student_t_quantile(double probability, double degrees) {
  NX_CHECK(probability > 0 && probability < 1, "probability {}", probability);
  if (probability < 0.5) return -student_t_quantile(1 - probability, degrees);
  const double tail = 1 - probability;
  double low = 0, high = 1;
  while (student_t_tail(high, degrees) > tail) high *= 2;
  for (;;) {  // bisection until no number lies between: no derivative to fail in the far tails
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return low;
    (student_t_tail(middle, degrees) > tail ? low : high) = middle;
  }
}

}  // namespace nexus
