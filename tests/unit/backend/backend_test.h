// What the tests of operations share: the back end under test, and the tests' types.
#pragma once

#include "support/device.h"
#include "support/reference_ops.h"
#include "support/test_tensor.h"

namespace nexus::test {

using nexus::testing::device;
using nexus::testing::kComputeTypes;

// A test that runs for every type that the back end computes in.
class EveryType : public ::testing::TestWithParam<DType> {
 protected:
  DType dtype() const { return GetParam(); }
  DType wide() const { return wide_of(dtype()); }
  // Random values as the type stores them: the reference sees what the back end sees.
  Values random(int64_t count, double deviation = 1.0) const {
    Values values = random_values(count, deviation);
    for (double& value : values) value = rounded(dtype(), value);
    return values;
  }
  // Relative error of one stored result: bf16 keeps 8 bits (half a step is at most 2^-8), f32 operations here chain a
  // few roundings of 6e-8, f64 of 1.1e-16.
  double relative() const { return dtype() == DType::kBF16 ? 4e-3 : wide_relative(); }
  // The same for wide results (statistics, losses, parameter gradients).
  double wide_relative() const { return dtype() == DType::kF64 ? 1e-13 : 2e-6; }
  // Absolute error of a sum of `terms` products of magnitude one: roundings add up like a random walk, eight
  // deviations.
  double sum_error(int64_t terms) const {
    const double rounding = dtype() == DType::kF64 ? 1.1e-16 : 6e-8;
    return 8 * rounding * std::sqrt(static_cast<double>(terms));
  }
};

// Calls check(backend, what) with back ends that must give the same bits: the CPU's with 1, 2 and 3 threads; a GPU's,
// which shares its work out anew each time, three times.
template <typename Check>
void for_every_sharing_of_work(const Check& check) {
  for (const int threads : {1, 2, 3}) {
    const std::unique_ptr<Backend> cpu = nexus::testing::kOnGpu ? nullptr : make_cpu_backend(threads);
    check(cpu == nullptr ? device() : *cpu, std::to_string(threads) + (cpu == nullptr ? ". run" : " threads"));
  }
  if (!nexus::testing::kOnGpu) make_cpu_backend(2);  // the number of threads is the process's
}

inline std::string type_name(const ::testing::TestParamInfo<DType>& info) {
  return std::string(name_of(info.param));
}

#define NX_FOR_EVERY_TYPE(Suite) \
  INSTANTIATE_TEST_SUITE_P(Types, Suite, ::testing::ValuesIn(kComputeTypes), ::nexus::test::type_name)

// Compares a gradient with central differences of loss(x) in f64: step 1e-5 leaves a truncation of 1e-10 times the
// third derivative and a rounding of 1e-16 / 1e-5, hence 1e-7 for losses of magnitude up to a hundred.
template <typename Loss>
void expect_gradient(const Values& gradient, Values x, const Loss& loss, const std::string& what) {
  constexpr double kStep = 1e-5, kTolerance = 1e-7;
  ASSERT_EQ(gradient.size(), x.size()) << what;
  for (size_t i = 0; i < x.size(); ++i) {
    const double kept = x[i];
    x[i] = kept + kStep;
    const double above = loss(x);
    x[i] = kept - kStep;
    const double below = loss(x);
    x[i] = kept;
    ASSERT_NEAR(gradient[i], (above - below) / (2 * kStep), kTolerance) << what << " [" << i << "]";
  }
}

// Columns [begin, end) of a row-major matrix of that width.
inline Values columns(const Values& matrix, int64_t width, int64_t begin, int64_t end) {
  Values part;
  for (size_t row = 0; row < matrix.size(); row += static_cast<size_t>(width))
    part.insert(part.end(), matrix.begin() + static_cast<std::ptrdiff_t>(row) + begin,
                matrix.begin() + static_cast<std::ptrdiff_t>(row) + end);
  return part;
}

// The other way: writes a part into its columns.
inline void set_columns(Values& matrix, int64_t width, int64_t begin, int64_t end, const Values& part) {
  const size_t extent = static_cast<size_t>(end - begin);
  for (size_t i = 0; i < part.size(); ++i)
    matrix[i / extent * static_cast<size_t>(width) + static_cast<size_t>(begin) + i % extent] = part[i];
}

inline double dot(const Values& x, const Values& y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

}  // namespace nexus::test
