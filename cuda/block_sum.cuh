// Sums over the threads of a warp or of a block. Their order is fixed, and every thread gets the same bits.
#pragma once

#include <cuda_runtime.h>

namespace nexus::cuda {

constexpr int kWarp = 32;

// All lanes of the warp must call it.
template <typename C>
__device__ inline C warp_sum(C x) {
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(0xFFFFFFFFu, x, offset);
  return x;
}

// All threads of a block of kWarps warps must call it; `shared` holds kWarps values and may be used again at once.
template <int kWarps, typename C>
__device__ inline C block_sum(C x, C* shared) {
  x = warp_sum(x);
  __syncthreads();  // the former sum has been read
  if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = x;
  __syncthreads();
  C sum = shared[0];
#pragma unroll
  for (int warp = 1; warp < kWarps; ++warp) sum += shared[warp];
  return sum;
}

}  // namespace nexus::cuda
