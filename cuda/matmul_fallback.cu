// A plain tiled matrix product in f32, for what cuBLASLt refuses. It takes every layout, alignment and type that
// Backend::matmul allows, and is many times slower than the library.
#include <cuda_bf16.h>

#include <algorithm>

#include "cuda/matmul.h"
#include "cuda/pack16.cuh"

namespace nexus::cuda {

namespace {

// A block of 32 x 8 threads computes a tile of 32 x 32 results; each thread has one column of it and every 8th row.
constexpr int kTile = 32, kThreadRows = 8, kResults = kTile / kThreadRows;

// Element (batch, i, j) lies at data + batch * batch_stride + i * row_stride + j * column_stride.
template <typename T>
struct Operand {
  const T* data;
  int64_t batch_stride, row_stride, column_stride;
};

struct Extents {
  int64_t m, n, k, batch;
};

// tile[i][j] = element (row + i, column + j), 0 beyond the edges. Neighbouring threads read along the axis that is
// contiguous in memory.
template <typename T>
__device__ void load_tile(float (&tile)[kTile][kTile + 1], const Operand<T>& from, int64_t batch, int64_t row,
                          int64_t column, int64_t rows, int64_t columns) {
  const int thread = static_cast<int>(threadIdx.y) * kTile + static_cast<int>(threadIdx.x);
  const T* data = from.data + batch * from.batch_stride;
  for (int at = thread; at < kTile * kTile; at += kTile * kThreadRows) {
    const int outer = at / kTile, inner = at % kTile;
    const int i = from.column_stride == 1 ? outer : inner, j = from.column_stride == 1 ? inner : outer;
    const bool inside = row + i < rows && column + j < columns;
    tile[i][j] = inside ? to_float(data[(row + i) * from.row_stride + (column + j) * from.column_stride]) : 0.0f;
  }
}

template <typename T, typename Result>
__global__ void __launch_bounds__(kTile* kThreadRows)
    matmul_kernel(Operand<T> a, Operand<T> b, Result* c, int64_t c_batch_stride, int64_t c_ld, Extents size, bool add) {
  __shared__ float left[kTile][kTile + 1], right[kTile][kTile + 1];
  const int64_t tiles_across = (size.n + kTile - 1) / kTile;
  const int64_t tiles_each = (size.m + kTile - 1) / kTile * tiles_across;
  // The loop's bounds are the same for the whole block, as the barriers need.
  for (int64_t tile = blockIdx.x; tile < tiles_each * size.batch; tile += gridDim.x) {
    const int64_t batch = tile / tiles_each;
    const int64_t row = tile % tiles_each / tiles_across * kTile, column = tile % tiles_across * kTile;
    float sums[kResults] = {};
    for (int64_t inner = 0; inner < size.k; inner += kTile) {
      load_tile(left, a, batch, row, inner, size.m, size.k);
      load_tile(right, b, batch, inner, column, size.k, size.n);
      __syncthreads();
#pragma unroll 8
      for (int i = 0; i < kTile; ++i)
        for (int r = 0; r < kResults; ++r)
          sums[r] = fmaf(left[threadIdx.y + r * kThreadRows][i], right[i][threadIdx.x], sums[r]);
      __syncthreads();
    }
    const int64_t j = column + threadIdx.x;
    for (int r = 0; r < kResults; ++r) {
      const int64_t i = row + threadIdx.y + r * kThreadRows;
      if (i >= size.m || j >= size.n) continue;
      Result& target = c[batch * c_batch_stride + i * c_ld + j];
      store(target, add ? sums[r] + to_float(target) : sums[r]);
    }
  }
}

template <typename T>
Operand<T> operand_of(const Mat& m) {
  return {static_cast<const T*>(m.data), m.batch_stride, m.transposed ? 1 : m.ld, m.transposed ? m.ld : 1};
}

template <typename T, typename Result>
void launch(const Mat& a, const Mat& b, const Mat& c, float beta, Queue& queue) {
  const Extents size{c.rows, c.cols, a.logical_cols(), c.batch};
  const int64_t tiles = (size.m + kTile - 1) / kTile * ((size.n + kTile - 1) / kTile) * size.batch;
  constexpr int64_t kMostBlocks = int64_t{1} << 30;
  const unsigned blocks = static_cast<unsigned>(std::min(tiles, kMostBlocks));
  matmul_kernel<T, Result><<<blocks, dim3(kTile, kThreadRows), 0, queue.stream()>>>(
      operand_of<T>(a), operand_of<T>(b), static_cast<Result*>(c.data), c.batch_stride, c.ld, size, beta != 0);
  NX_CUDA(cudaGetLastError());
}

}  // namespace

void matmul_fallback(const Mat& a, const Mat& b, const Mat& c, float beta, Queue& queue) {
  if (a.dtype == DType::kF32) return launch<float, float>(a, b, c, beta, queue);
  if (c.dtype == DType::kF32) return launch<__nv_bfloat16, float>(a, b, c, beta, queue);
  launch<__nv_bfloat16, __nv_bfloat16>(a, b, c, beta, queue);
}

}  // namespace nexus::cuda
