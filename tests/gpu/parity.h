// Runs an operation on the CPU back end and on the CUDA back end, from the same random operands, and compares all that
// it writes. A test describes the call once, for any back end (`Body`); `expect_parity` makes it
//   1. on the CPU, 2. on the GPU: equal to 1 within a bound, 3. on the GPU again: the bits of 2,
//   4. on the GPU with every tensor at an odd element: equal to 1 within the bound.
// Tensors lie between guards of NaN, and outputs hold NaN before the call: what is read outside a tensor or forgotten
// inside one shows in the result, and what is written outside one is found by looking at the guards.
#pragma once

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "cuda/cuda_backend.h"
#include "cuda/devices.h"
#include "support/test_tensor.h"

namespace nexus::test {

// A new one every time; printed with every failure. NEXUS_TEST_SEED repeats a run.
inline uint64_t parity_seed() {
  static const uint64_t seed = [] {
    const char* text = std::getenv("NEXUS_TEST_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 10) : uint64_t{std::random_device{}()};
  }();
  return seed;
}

// Bounds of the relative error ||out - expected|| / ||expected||. Of copies and single roundings:
constexpr double kExact = 0;
// Of f32 results: both sides round each of a few dozen steps, or the partial sums of n <= 4096 terms in their own order
// (n partial sums with errors of 2^-24 / sqrt(12) each, relative to a sum that grows with sqrt(n): 1.1e-6 at 4096).
constexpr double kF32 = 2e-6;
// Of bf16 results: each side is within half a step, 2^-9 of the value, of what it computed in f32.
constexpr double kBf16 = 4e-3;

constexpr double bound_of(DType dtype) {
  return dtype == DType::kBF16 ? kBf16 : (dtype == DType::kF32 ? kF32 : 1e-12);
}

// The random operands of one test, drawn when the first side asks and the same for all of them.
class Operands {
 public:
  explicit Operands(std::string name) : name_(std::move(name)) {}

  const Values& normal(size_t index, DType dtype, int64_t count, double deviation) {
    if (index < values_.size()) return values_[index];
    const RandomStream stream(parity_seed(), name_ + " " + std::to_string(index));
    Values values(static_cast<size_t>(count));
#pragma omp parallel for
    for (size_t i = 0; i < values.size(); ++i) values[i] = rounded(dtype, deviation * stream.normal(i));
    values_.push_back(std::move(values));
    return values_.back();
  }

 private:
  std::string name_;
  std::deque<Values> values_;
};

// What one run wrote.
struct Written {
  std::string name;
  double bound;
  Values values;
  std::vector<char> bits;
};

// The tensors of one run of an operation. Every run asks for the same ones in the same order.
class Side {
 public:
  Side(Backend& side_backend, DType dtype, Operands& operands, int64_t shift)
      : backend(side_backend), dtype_(dtype), operands_(operands), shift_(shift) {}

  Backend& backend;

  DType dtype() const { return dtype_; }
  DType wide() const { return wide_of(dtype_); }

  // Normal random values.
  Tensor input(Shape shape, double deviation = 1.0) { return input_as(dtype_, shape, deviation); }
  Tensor input_as(DType dtype, Shape shape, double deviation = 1.0) {
    return place(dtype, shape, operands_.normal(next_++, dtype, shape.count(), deviation));
  }
  // The same, not negative.
  Tensor positive_as(DType dtype, Shape shape, double deviation) {
    Values values = operands_.normal(next_++, dtype, shape.count(), deviation);
    for (double& value : values) value = std::abs(value);
    return place(dtype, shape, values);
  }
  Tensor given(DType dtype, Shape shape, const Values& values) { return place(dtype, shape, values); }
  Tensor ids(const std::vector<int32_t>& values) {
    return given(DType::kI32, {static_cast<int64_t>(values.size())}, Values(values.begin(), values.end()));
  }

  // NaN everywhere; compared after the run.
  Tensor output(const std::string& name, DType dtype, Shape shape, double bound) {
    return written(name, bound, place(dtype, shape, Values(static_cast<size_t>(shape.count()), std::nan(""))));
  }
  Tensor output(const std::string& name, Shape shape) { return output(name, dtype_, shape, bound_of(dtype_)); }
  Tensor wide_output(const std::string& name, Shape shape) { return output(name, wide(), shape, kF32); }
  // An operand that is also a result; the last tensor placed.
  Tensor written(const std::string& name, double bound, const Tensor& tensor) {
    marks_.push_back({name, bound, tensors_.size() - 1});
    return tensor;
  }
  // Random values that the operation adds to or replaces.
  Tensor updated(const std::string& name, DType dtype, Shape shape, double bound, double deviation = 1.0) {
    return written(name, bound, input_as(dtype, shape, deviation));
  }

  std::vector<Written> results() const {
    std::vector<Written> results;
    for (const Mark& mark : marks_) {
      const Placed& placed = tensors_[mark.tensor];
      const Values all = placed.whole.values();
      const auto begin = all.begin() + kGuard + shift_, end = begin + placed.count;
      EXPECT_TRUE(std::all_of(all.begin(), begin, unwritten) && std::all_of(end, all.end(), unwritten))
          << mark.name << ": written outside the tensor";
      const std::vector<char> bits = placed.whole.raw();
      const int64_t size = size_of(placed.whole.tensor().dtype);
      results.push_back({mark.name,
                         mark.bound,
                         Values(begin, end),
                         {bits.begin() + (kGuard + shift_) * size, bits.end() - kGuard * size}});
    }
    return results;
  }

 private:
  static constexpr int64_t kGuard = 64;  // elements: an unshifted tensor is as aligned as an allocation
  static bool unwritten(double value) { return std::isnan(value) || value == -77; }

  struct Placed {
    TestTensor whole;
    int64_t count;
  };
  struct Mark {
    std::string name;
    double bound;
    size_t tensor;
  };

  Tensor place(DType dtype, Shape shape, const Values& values) {
    Values whole(values.size() + static_cast<size_t>(2 * kGuard + shift_), std::nan(""));
    std::copy(values.begin(), values.end(), whole.begin() + kGuard + shift_);
    const Shape flat = {static_cast<int64_t>(whole.size())};
    tensors_.push_back({TestTensor(backend, dtype, flat, whole), shape.count()});
    return tensors_.back().whole.tensor().flat(kGuard + shift_, shape.count()).reshaped(shape);
  }

  DType dtype_;
  Operands& operands_;
  int64_t shift_;
  size_t next_ = 0;
  std::deque<Placed> tensors_;
  std::vector<Mark> marks_;
};

using Body = std::function<void(Side&)>;

inline std::vector<Written> run(Backend& backend, DType dtype, Operands& operands, int64_t shift, const Body& body) {
  Side side(backend, dtype, operands, shift);
  body(side);
  backend.synchronize();
  return side.results();
}

// The norm of the difference, and each element: a few wrong ones would vanish in the norm of a million right ones. An
// element's error is one of rounding (relative to it) or of a sum (normal, relative to the norm: ten deviations).
// NaN is never near.
inline void expect_near(const Written& actual, const Written& expected) {
  ASSERT_EQ(actual.values.size(), expected.values.size()) << actual.name;
  double squares = 0, errors = 0;
  for (size_t i = 0; i < expected.values.size(); ++i) {
    const double error = actual.values[i] - expected.values[i];
    squares += expected.values[i] * expected.values[i];
    errors += error * error;
  }
  const double norm = std::sqrt(squares), count = static_cast<double>(std::max<size_t>(expected.values.size(), 1));
  EXPECT_TRUE(std::isfinite(norm)) << expected.name << " is not finite on the CPU";
  EXPECT_TRUE(std::sqrt(errors) <= expected.bound * norm)
      << actual.name << ": relative error " << std::sqrt(errors) / norm << ", bound " << expected.bound;
  for (size_t i = 0; i < expected.values.size(); ++i) {
    const double bound = expected.bound * (std::abs(expected.values[i]) + 10 * norm / std::sqrt(count));
    ASSERT_TRUE(std::abs(actual.values[i] - expected.values[i]) <= bound)
        << actual.name << " [" << i << "]: " << actual.values[i] << " should be " << expected.values[i] << " within "
        << bound;
  }
}

inline void expect_near(const std::vector<Written>& actual, const std::vector<Written>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) expect_near(actual[i], expected[i]);
}

inline void expect_same_bits(const std::vector<Written>& actual, const std::vector<Written>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i)
    EXPECT_TRUE(actual[i].bits == expected[i].bits) << actual[i].name << ": two calls give other bits";
}

class Parity : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (cuda_devices().empty()) GTEST_SKIP() << "these tests need an NVIDIA GPU: " << cuda_description();
  }
  DType dtype() const { return GetParam(); }

  static Backend& cpu() {
    static const std::unique_ptr<Backend> backend = make_cpu_backend(omp_get_num_procs());
    return *backend;
  }
  static Backend& gpu() {
    static const std::unique_ptr<Backend> backend = make_cuda_backend({});
    return *backend;
  }
  static Backend& deterministic_gpu() {
    static const std::unique_ptr<Backend> backend = make_cuda_backend({0, true, ""});
    return *backend;
  }

  // `name` tells the cases of a test apart, also for their random numbers. `repeated` is the back end whose calls are
  // made twice.
  void expect_parity(const std::string& name, const Body& body, Backend& repeated = gpu()) const {
    SCOPED_TRACE(testing::Message() << name << ", NEXUS_TEST_SEED=" << parity_seed());
    constexpr int64_t kOdd = 1;
    Operands operands(name + " " + std::string(name_of(dtype())));
    const std::vector<Written> expected = run(cpu(), dtype(), operands, 0, body);
    const std::vector<Written> first = run(repeated, dtype(), operands, 0, body);
    expect_near(first, expected);
    expect_same_bits(run(repeated, dtype(), operands, 0, body), first);
    if (&repeated != &gpu()) expect_near(run(gpu(), dtype(), operands, 0, body), expected);
    SCOPED_TRACE("every tensor begins at an odd element");
    expect_near(run(gpu(), dtype(), operands, kOdd, body), expected);
  }
};

}  // namespace nexus::test
