// Element types. bf16 is storage only: arithmetic happens in f32 (f64 tensors compute in f64).
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

namespace nexus {

enum class DType : uint8_t { kF32, kBF16, kF64, kI32 };

constexpr int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kBF16: return 2;
    case DType::kF64: return 8;
    default: return 4;
  }
}

constexpr std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "f32";
    case DType::kBF16: return "bf16";
    case DType::kF64: return "f64";
    case DType::kI32: return "i32";
  }
  return "?";
}

// The type of statistics, losses and parameter gradients beside a compute type.
constexpr DType wide_of(DType compute) {
  return compute == DType::kF64 ? DType::kF64 : DType::kF32;
}

// Upper half of an IEEE f32; conversion rounds to nearest even and keeps NaN.
struct Bf16 {
  uint16_t bits = 0;

  Bf16() = default;
  explicit Bf16(float value) {
    const uint32_t word = std::bit_cast<uint32_t>(value);
    const uint32_t rounded = (word + 0x7FFFu + ((word >> 16) & 1u)) >> 16;
    bits = static_cast<uint16_t>(value != value ? 0x7FC0u : rounded);
  }
  explicit operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kF32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kF64;
};
template <>
struct DTypeOf<Bf16> {
  static constexpr DType value = DType::kBF16;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::kI32;
};

}  // namespace nexus
