// Fast scalar functions and reductions over threads, for kernels.
//
// The approximations are single instructions of the special function units. They flush denormals, which no activation
// or statistic of a model in training lives on, and pass NaN on. Reductions have a fixed order, and every thread gets
// the same bits.
#pragma once

#include <cuda_runtime.h>

#include <limits>

namespace nexus::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xFFFFFFFFu;
constexpr float kLog2E = 1.44269504f;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

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
  return sigmoid_base2(kLog2E * x);
}

// The sum over each kLanes neighbouring lanes (a power of two), the same in all of them: the butterfly adds the same
// pairs everywhere. All lanes of the warp must call it.
template <int kLanes = kWarp, typename C>
__device__ __forceinline__ C warp_sum(C x) {
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(kAllLanes, x, step);
  return x;
}

// Likewise the greatest; NaN is passed over, as by fmaxf.
template <int kLanes = kWarp>
__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, step));
  return x;
}

// The sum over a block of kWarps warps. All threads must call it; `shared` holds kWarps values and may be used again at
// once.
template <int kWarps, typename C>
__device__ __forceinline__ C block_sum(C x, C* shared) {
  x = warp_sum(x);
  __syncthreads();  // the former sum has been read
  if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = x;
  __syncthreads();
  C sum = shared[0];
#pragma unroll
  for (int warp = 1; warp < kWarps; ++warp) sum += shared[warp];
  return sum;
}

// The sum over a block of whole warps, as many as there are. All threads must call it, once in a kernel: a second call
// would overwrite what slow warps still read. In return it has one barrier less.
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
