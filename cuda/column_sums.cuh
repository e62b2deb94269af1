// Sums over the rows of a matrix, column by column, in a fixed order: gradients of weights that every row is multiplied
// by. A block of kTileRows x kWarp threads sums kChunkRows rows of kWarp columns; add_columns adds the chunks up.
#pragma once

#include "cuda/device.h"
#include "cuda/device_math.cuh"

namespace nexus::cuda {

constexpr int kTileRows = 32;    // threads above each other in a block of column sums
constexpr int kChunkRows = 256;  // rows that such a block sums, where rows are walked

// The sum over a block's threads of one column, for those of the first row.
__device__ inline float column_sum(float sum) {
  __shared__ float tile[kTileRows][kWarp];
  tile[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0) return 0;
  for (int i = 1; i < kTileRows; ++i) sum += tile[i][threadIdx.x];
  return sum;
}

// total[j] += the sum of column j of `partial` [count, width].
static __global__ void __launch_bounds__(kTileRows* kWarp)
    add_columns(const float* __restrict__ partial, float* __restrict__ total, int64_t count, int64_t width) {
  const int64_t column = int64_t{blockIdx.x} * kWarp + threadIdx.x;
  float sum = 0;
  if (column < width) {
#pragma unroll 8
    for (int64_t row = threadIdx.y; row < count; row += kTileRows) sum += partial[row * width + column];
  }
  sum = column_sum(sum);
  if (threadIdx.y == 0 && column < width) total[column] += sum;
}

static void launch_add_columns(const float* partial, float* total, int64_t count, int64_t width, Queue& queue) {
  const dim3 threads(kWarp, kTileRows);
  add_columns<<<static_cast<unsigned>((width + kWarp - 1) / kWarp), threads, 0, queue.stream()>>>(partial, total, count,
                                                                                                  width);
  NX_CUDA(cudaGetLastError());
}

}  // namespace nexus::cuda
