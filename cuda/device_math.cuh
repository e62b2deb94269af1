// Fast scalar functions and sums over threads, for kernels.
//
// The approximations are single instructions of the special function units. They flush denormals, which no activation
// or statistic of a model in training lives on, and pass NaN on.
#pragma once

#include <cuda_runtime.h>

namespace nexus::cuda {

constexpr int kWarp = 32;

// 2^x, relative error at most 2^-22; 0 below -126, infinity from 128 on.
__device__ __forceinline__ float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// 1 / x, relative error at most 2^-23; 1 / infinity = 0.
__device__ __forceinline__ float reciprocal_approx(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

struct Sigmoid {
  float value, complement;  // complement = 1 - value, with a precision of its own where value is near one
};

// 1 / (1 + 2^-x)
__device__ __forceinline__ Sigmoid sigmoid_base2(float x) {
  const float power = exp2_approx(-x), value = reciprocal_approx(1.0f + power);
  // Where the power overflows, the product is infinity times 0, and fminf prefers a number to NaN.
  return {value, fminf(power * value, 1.0f)};
}

// 1 / (1 + e^-x). The rounding of the exponent grows with it: relative error under 5e-7 + 8e-8 |x|.
__device__ __forceinline__ Sigmoid sigmoid(float x) {
  constexpr float kLog2E = 1.4426950f;
  return sigmoid_base2(kLog2E * x);
}

// The same sum in every lane: the butterfly adds the same pairs everywhere. All lanes of the warp must call it.
__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int lane_bit = kWarp / 2; lane_bit > 0; lane_bit /= 2) value += __shfl_xor_sync(0xFFFFFFFFu, value, lane_bit);
  return value;
}

// The same sum in every thread of a block of whole warps. All threads must call it, once in a kernel: a second call
// would overwrite what slow warps still read.
__device__ __forceinline__ float block_sum_once(float value) {
  __shared__ float partial[kWarp];
  value = warp_sum(value);
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = value;
  __syncthreads();
  float sum = partial[0];
  for (unsigned warp = 1; warp < blockDim.x / kWarp; ++warp) sum += partial[warp];
  return sum;
}

}  // namespace nexus::cuda
