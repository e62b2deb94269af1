// Tensors of any back end and type, filled from and read back as doubles, for tests.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "core/rng.h"

namespace nexus::test {

using Values = std::vector<double>;

// What the dry back end takes: a shape without values.
inline Tensor null_tensor(DType dtype, Shape shape) {
  return {nullptr, dtype, shape};
}

// `count` standard normal numbers times `deviation`; every call within a process draws other ones, every process the
// same.
inline Values random_values(int64_t count, double deviation = 1.0) {
  static uint64_t calls = 0;
  const RandomStream stream(++calls, "test values");
  Values values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = deviation * stream.normal(i);
  return values;
}

inline std::vector<int32_t> random_ids(int64_t count, int64_t bound) {
  static uint64_t calls = 0;
  const RandomStream stream(++calls, "test ids");
  std::vector<int32_t> ids(static_cast<size_t>(count));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(stream.below(i, static_cast<uint64_t>(bound)));
  return ids;
}

// A value as `dtype` stores it.
inline double rounded(DType dtype, double value) {
  if (dtype == DType::kF64) return value;
  if (dtype == DType::kF32) return static_cast<double>(static_cast<float>(value));
  return static_cast<double>(static_cast<float>(Bf16(static_cast<float>(value))));
}

// An owning tensor. A new one holds NaN everywhere (-77 for i32): an operation that forgets an element is found out.
class TestTensor {
 public:
  TestTensor(Backend& backend, DType dtype, Shape shape)
      : TestTensor(backend, dtype, shape,
                   Values(static_cast<size_t>(shape.count()), std::numeric_limits<double>::quiet_NaN())) {}

  TestTensor(Backend& backend, DType dtype, Shape shape, const Values& values)
      : backend_(backend), buffer_(backend.allocate(shape.count() * size_of(dtype))) {
    tensor_ = buffer_.tensor(dtype, shape);
    set(values);
  }

  TestTensor(Backend& backend, const std::vector<int32_t>& ids)
      : backend_(backend), buffer_(backend.allocate(static_cast<int64_t>(ids.size()) * 4)) {
    tensor_ = buffer_.tensor(DType::kI32, {static_cast<int64_t>(ids.size())});
    backend_.copy_in(tensor_, ids.data());
  }

  operator const Tensor&() const { return tensor_; }  // NOLINT(google-explicit-constructor): used as what it owns
  const Tensor& tensor() const { return tensor_; }

  void set(const Values& values) {
    ASSERT_EQ(static_cast<int64_t>(values.size()), tensor_.count());
    std::vector<char> bytes(static_cast<size_t>(tensor_.size_bytes()));
    for (size_t i = 0; i < values.size(); ++i) {
      if (tensor_.dtype == DType::kF64) put(bytes, i, values[i]);
      if (tensor_.dtype == DType::kF32) put(bytes, i, static_cast<float>(values[i]));
      if (tensor_.dtype == DType::kBF16) put(bytes, i, Bf16(static_cast<float>(values[i])));
      if (tensor_.dtype == DType::kI32) put(bytes, i, std::isnan(values[i]) ? -77 : static_cast<int32_t>(values[i]));
    }
    backend_.copy_in(tensor_, bytes.data());
  }

  Values values() const {
    const std::vector<char> bytes = raw();
    Values values(static_cast<size_t>(tensor_.count()));
    for (size_t i = 0; i < values.size(); ++i) {
      if (tensor_.dtype == DType::kF64) values[i] = get<double>(bytes, i);
      if (tensor_.dtype == DType::kF32) values[i] = static_cast<double>(get<float>(bytes, i));
      if (tensor_.dtype == DType::kBF16) values[i] = static_cast<double>(static_cast<float>(get<Bf16>(bytes, i)));
      if (tensor_.dtype == DType::kI32) values[i] = get<int32_t>(bytes, i);
    }
    return values;
  }

  // The stored bytes, for comparisons bit by bit.
  std::vector<char> raw() const {
    std::vector<char> bytes(static_cast<size_t>(tensor_.size_bytes()));
    backend_.synchronize();
    backend_.copy_out(bytes.data(), tensor_);
    return bytes;
  }

 private:
  template <typename T>
  static void put(std::vector<char>& bytes, size_t i, T value) {
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
  template <typename T>
  static T get(const std::vector<char>& bytes, size_t i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    return value;
  }

  Backend& backend_;
  Buffer buffer_;
  Tensor tensor_;
};

// |actual - expected| <= relative * |expected| + absolute, everywhere; NaN is never close.
inline void expect_close(const Values& actual, const Values& expected, double relative, double absolute,
                         const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double bound = relative * std::abs(expected[i]) + absolute;
    ASSERT_TRUE(std::abs(actual[i] - expected[i]) <= bound)
        << what << " [" << i << "]: " << actual[i] << " should be " << expected[i] << " within " << bound;
  }
}

}  // namespace nexus::test
