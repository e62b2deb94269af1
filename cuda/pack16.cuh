// The element types of kernels: their choice by the tensor's type, their conversion from and to f32, and their access
// in pieces of 16 bytes, the widest that one thread moves at once: 4 floats or 8 bf16.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "cuda/cuda_check.h"
#include "tensor/tensor.h"

namespace nexus {

// Kernels compute with CUDA's own bf16, which has the bits of ours.
template <>
struct DTypeOf<__nv_bfloat16> {
  static constexpr DType value = DType::kBF16;
};

}  // namespace nexus

namespace nexus::cuda {

template <typename T>
constexpr int kPackSize = static_cast<int>(sizeof(uint4) / sizeof(T));

// The host's view of the element types that kernels compute with: body.template operator()<T>().
template <typename Body>
void with_element(DType dtype, const Body& body) {
  require_compute_type(dtype);
  if (dtype == DType::kF32) return body.template operator()<float>();
  return body.template operator()<__nv_bfloat16>();
}

// Whether every one of `pitch` elements apart starting at `data` can be read and written in packs.
template <typename T>
bool in_packs(const void* data, int64_t pitch) {
  return reinterpret_cast<uintptr_t>(data) % sizeof(uint4) == 0 && pitch % kPackSize<T> == 0;
}

__device__ inline float to_float(float x) {
  return x;
}
__device__ inline float to_float(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
__device__ inline void store(float& to, float value) {
  to = value;
}
__device__ inline void store(__nv_bfloat16& to, float value) {
  to = __float2bfloat16_rn(value);
}

// Two bf16 in a word. A bf16 is the upper half of an f32: a shift and a mask, no conversion.
__device__ __forceinline__ float low_bf16(uint32_t word) {
  return __uint_as_float(word << 16);
}
__device__ __forceinline__ float high_bf16(uint32_t word) {
  return __uint_as_float(word & 0xFFFF0000u);
}
__device__ __forceinline__ uint32_t bf16_pair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

__device__ inline void unpack(const uint4& pack, float (&x)[4]) {
  x[0] = __uint_as_float(pack.x);
  x[1] = __uint_as_float(pack.y);
  x[2] = __uint_as_float(pack.z);
  x[3] = __uint_as_float(pack.w);
}

__device__ inline void unpack(const uint4& pack, float (&x)[8]) {
  const uint32_t words[4] = {pack.x, pack.y, pack.z, pack.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    x[2 * i] = low_bf16(words[i]);
    x[2 * i + 1] = high_bf16(words[i]);
  }
}

__device__ inline uint4 pack_of(const float (&x)[4]) {
  return {__float_as_uint(x[0]), __float_as_uint(x[1]), __float_as_uint(x[2]), __float_as_uint(x[3])};
}

__device__ inline uint4 pack_of(const float (&x)[8]) {
  return {bf16_pair(x[0], x[1]), bf16_pair(x[2], x[3]), bf16_pair(x[4], x[5]), bf16_pair(x[6], x[7])};
}

}  // namespace nexus::cuda
