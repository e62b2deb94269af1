// Device access four elements at a time: 16 bytes of f32 beside 8 of bf16, so that kernels over tensors of different
// types stay coalesced in each of them.
#pragma once

#include "cuda/pack16.cuh"

namespace nexus::cuda {

constexpr int kQuad = 4;

// Whether the element at `data`, and with it every fourth one, begins a quad.
template <typename T>
__host__ __device__ inline bool at_quad(const T* data) {
  return reinterpret_cast<uintptr_t>(data) % (kQuad * sizeof(T)) == 0;
}

__device__ inline void load_quad(const float* from, float (&x)[kQuad]) {
  const float4 four = *reinterpret_cast<const float4*>(from);
  x[0] = four.x;
  x[1] = four.y;
  x[2] = four.z;
  x[3] = four.w;
}

__device__ inline void load_quad(const __nv_bfloat16* from, float (&x)[kQuad]) {
  const uint2 words = *reinterpret_cast<const uint2*>(from);
  x[0] = low_bf16(words.x);
  x[1] = high_bf16(words.x);
  x[2] = low_bf16(words.y);
  x[3] = high_bf16(words.y);
}

__device__ inline void store_quad(float* to, const float (&x)[kQuad]) {
  *reinterpret_cast<float4*>(to) = make_float4(x[0], x[1], x[2], x[3]);
}

__device__ inline void store_quad(__nv_bfloat16* to, const float (&x)[kQuad]) {
  *reinterpret_cast<uint2*>(to) = make_uint2(bf16_pair(x[0], x[1]), bf16_pair(x[2], x[3]));
}

}  // namespace nexus::cuda
