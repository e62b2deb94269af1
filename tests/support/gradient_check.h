// Compares analytic gradients with finite differences of a scalar function, in f64.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace nexus::testing {

class GradientCheck {
 public:
  // `value` recomputes the scalar from the memory that the checks perturb.
  explicit GradientCheck(std::function<double()> value, uint64_t seed = 1);

  // Checks d value / d x, x and gradient of `count` f64 elements: along the gradient itself (its length), along a
  // random direction, and for some single elements. A gradient that is zero everywhere fails, since it would check
  // nothing.
  void expect(const std::string& name, double* x, const double* gradient, int64_t count);

 private:
  // Five-point derivative of value(x + t direction) at t = 0.
  double derivative(double* x, const double* direction, int64_t count) const;

  std::function<double()> value_;
  uint64_t seed_;
};

}  // namespace nexus::testing
