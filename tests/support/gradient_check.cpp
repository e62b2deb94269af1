#include "support/gradient_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/rng.h"

namespace nexus::testing {
namespace {

// Directions have length 1 and tensors entries of about 0.3. The truncation error falls with the fourth power of the
// step: measured below 1e-7 relative at 1e-4 on the most curved of the tiny models (rows whose L2 norm is near zero).
constexpr double kStep = 1e-4;
// A wrong term is wrong by whole percents; ten times the truncation error is still far from that.
constexpr double kRelative = 1e-6;
// The value's own rounding, a hundred units in its last place, divided by the step.
constexpr double kRounding = 100 * 1.1e-16 / kStep;

double length(const double* x, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += x[i] * x[i];
  return std::sqrt(sum);
}

}  // namespace

GradientCheck::GradientCheck(std::function<double()> value, uint64_t seed) : value_(std::move(value)), seed_(seed) {}

double GradientCheck::derivative(double* x, const double* direction, int64_t count) const {
  const std::vector<double> origin(x, x + count);
  const auto at = [&](double t) {
    for (int64_t i = 0; i < count; ++i) x[i] = origin[static_cast<size_t>(i)] + t * direction[i];
    return value_();
  };
  const double near = at(kStep) - at(-kStep), far = at(2 * kStep) - at(-2 * kStep);
  std::copy(origin.begin(), origin.end(), x);
  return (8 * near - far) / (12 * kStep);
}

void GradientCheck::expect(const std::string& name, double* x, const double* gradient, int64_t count) {
  const std::vector<double> g(gradient, gradient + count);  // `value` may overwrite the gradient
  const RandomStream random(seed_, name);
  const double rounding = kRounding * std::abs(value_());
  const auto expect_close = [&](const std::string& what, double analytic, double numeric) {
    EXPECT_NEAR(analytic, numeric, kRelative * std::abs(numeric) + rounding) << what;
  };
  const double slope = length(g.data(), count);
  ASSERT_GT(slope, 1e-7) << name << " has no gradient to check";

  std::vector<double> direction(g);
  for (double& v : direction) v /= slope;
  expect_close(name + " along its gradient", slope, derivative(x, direction.data(), count));

  for (int64_t i = 0; i < count; ++i) direction[static_cast<size_t>(i)] = random.normal(static_cast<uint64_t>(i));
  const double norm = length(direction.data(), count);
  double analytic = 0;
  for (size_t i = 0; i < direction.size(); ++i) analytic += g[i] * (direction[i] /= norm);
  expect_close(name + " along a random direction", analytic, derivative(x, direction.data(), count));

  constexpr uint64_t kEntries = 4;
  for (uint64_t n = 0; n < kEntries; ++n) {
    const uint64_t entry = RandomStream(seed_ + 1, name).below(n, static_cast<uint64_t>(count));
    double one = 1.0;
    expect_close(name + "[" + std::to_string(entry) + "]", g[entry], derivative(x + entry, &one, 1));
  }
}

}  // namespace nexus::testing
