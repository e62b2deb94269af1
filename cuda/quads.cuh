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
  x[0] = __uint_as_float(words.x << 16);
  x[1] = __uint_as_float(words.x & 0xFFFF0000u);
  x[2] = __uint_as_float(words.y << 16);
  x[3] = __uint_as_float(words.y & 0xFFFF0000u);
}

__device__ inline void store_quad(float* to, const float (&x)[kQuad]) {
  *reinterpret_cast<float4*>(to) = make_float4(x[0], x[1], x[2], x[3]);
}

__device__ inline void store_quad(__nv_bfloat16* to, const float (&x)[kQuad]) {
  const __nv_bfloat162 pairs[2] = {__floats2bfloat162_rn(x[0], x[1]), __floats2bfloat162_rn(x[2], x[3])};
  *reinterpret_cast<uint2*>(to) = *reinterpret_cast<const uint2*>(pairs);
}

}  // namespace nexus::cuda
