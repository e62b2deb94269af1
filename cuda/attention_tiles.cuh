// What the kernels of our own attention share: tiles of rows in shared memory, as f32, and the two products of such
// tiles.
//
// A block owns some rows (queries, or keys in half of the backward pass) and walks over tiles of the other kind.
// Sixteen lanes, half a warp, share a row: of the scores, lane l has columns l, l + 16, ...; of a row of the result it
// has kColumns columns in runs of four. So rows of weights are written and read by the same half warp, and softmax
// needs shuffles only.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <type_traits>

#include "backend/backend.h"
#include "cuda/device_math.cuh"
#include "cuda/pack16.cuh"
#include "cuda/queue.h"

namespace nexus::cuda::attention {

constexpr int kLanes = 16;
constexpr int kMaxHeadDim = 256;

// Heads are padded with zeros to `width` columns. Rows in shared memory are padded by 16 bytes: they begin four banks
// apart, so that eight lanes that read 16 bytes of eight rows touch each of the 32 banks once.
template <int threads, int rows_each, int columns_each, int width>
struct TileShape {
  static constexpr int kThreads = threads;
  static constexpr int kGroups = threads / kLanes;           // half warps
  static constexpr int kRowsEach = rows_each;                // own rows of a half warp: g, g + kGroups, ...
  static constexpr int kColumnsEach = columns_each;          // score columns of a lane
  static constexpr int kOwn = kGroups * rows_each;           // own rows of a block
  static constexpr int kOther = kLanes * columns_each;       // rows of a tile that is walked over
  static constexpr int kWidth = width;                       // padded head
  static constexpr int kPitch = width + 4;                   // floats between rows of heads
  static constexpr int kWeightPitch = kOther + 4;            // floats between rows of weights
  static constexpr int kColumns = width / kLanes;            // result columns of a lane
  static constexpr int kRun = kColumns < 4 ? kColumns : 4;   // of them side by side
  static constexpr int kOwnFloats = kOwn * kPitch;           // of a tile of own rows
  static constexpr int kOtherFloats = kOther * kPitch;       // of a tile of other rows
  static constexpr int kWeightFloats = kOwn * kWeightPitch;  // of a tile of weights
};

template <typename Shape>
using Scores = float[Shape::kRowsEach][Shape::kColumnsEach];
template <typename Shape>
using Sums = float[Shape::kRowsEach][Shape::kColumns];

__device__ inline int lane_of_row() {
  return static_cast<int>(threadIdx.x) % kLanes;
}
__device__ inline int group_of_thread() {
  return static_cast<int>(threadIdx.x) / kLanes;
}

// `kRun` neighbouring floats, which lie on a boundary of their size.
template <int kRun>
__device__ inline void read_run(const float* from, float (&values)[kRun]) {
  static_assert(kRun == 2 || kRun == 4);
  if constexpr (kRun == 4) {
    const float4 word = *reinterpret_cast<const float4*>(from);
    values[0] = word.x, values[1] = word.y, values[2] = word.z, values[3] = word.w;
  } else {
    const float2 word = *reinterpret_cast<const float2*>(from);
    values[0] = word.x, values[1] = word.y;
  }
}

// Copies `rows` rows of one head into a tile of kRows rows, zeros elsewhere; `row_at(i)` is where row i begins.
// `vectors`: rows lie on 16-byte boundaries and have whole 16-byte words.
template <typename Shape, int kRows, typename T, typename RowAt>
__device__ inline void load_rows(const RowAt& row_at, int rows, int head_dim, bool vectors, float* tile) {
  const int thread = static_cast<int>(threadIdx.x);
  if (vectors) {
    constexpr int kVector = 16 / static_cast<int>(sizeof(T)), kWords = Shape::kWidth / kVector;
    constexpr int kStep = Shape::kThreads / kWords;  // rows that all threads load at once
    static_assert(Shape::kThreads % kWords == 0);
    const int column = thread % kWords * kVector;
#pragma unroll 4
    for (int i = 0; i < (kRows + kStep - 1) / kStep; ++i) {
      const int row = thread / kWords + i * kStep;
      if (kRows % kStep != 0 && row >= kRows) break;
      uint4 word = {0, 0, 0, 0};
      if (row < rows && column < head_dim) word = *reinterpret_cast<const uint4*>(row_at(row) + column);
      float values[kVector];
      unpack(word, values);
      float4* to = reinterpret_cast<float4*>(tile + row * Shape::kPitch + column);
#pragma unroll
      for (int k = 0; k < kVector / 4; ++k)
        to[k] = make_float4(values[4 * k], values[4 * k + 1], values[4 * k + 2], values[4 * k + 3]);
    }
  } else {
#pragma unroll 1
    for (int i = thread; i < kRows * Shape::kWidth; i += Shape::kThreads) {
      const int row = i / Shape::kWidth, column = i % Shape::kWidth;
      const bool inside = row < rows && column < head_dim;
      tile[row * Shape::kPitch + column] = inside ? to_float(row_at(row)[column]) : 0.0f;
    }
  }
}

// The same of rows that lie one after the other.
template <typename Shape, int kRows, typename T>
__device__ inline void load_tile(const T* from, int64_t ld, int rows, int head_dim, bool vectors, float* tile) {
  load_rows<Shape, kRows, T>([=](int row) { return from + row * ld; }, rows, head_dim, vectors, tile);
}

// scores = own rows times other rows transposed.
template <typename Shape>
__device__ inline void dot_rows(const float* own, const float* other, Scores<Shape>& scores) {
  own += group_of_thread() * Shape::kPitch;
  other += lane_of_row() * Shape::kPitch;
#pragma unroll
  for (int i = 0; i < Shape::kRowsEach; ++i) {
#pragma unroll
    for (int j = 0; j < Shape::kColumnsEach; ++j) scores[i][j] = 0;
  }
#pragma unroll 1
  for (int d = 0; d < Shape::kWidth; d += 4) {
    float b[Shape::kColumnsEach][4];
#pragma unroll
    for (int j = 0; j < Shape::kColumnsEach; ++j) read_run(other + j * kLanes * Shape::kPitch + d, b[j]);
#pragma unroll
    for (int i = 0; i < Shape::kRowsEach; ++i) {
      float a[4];
      read_run(own + i * Shape::kGroups * Shape::kPitch + d, a);
#pragma unroll
      for (int j = 0; j < Shape::kColumnsEach; ++j) {
#pragma unroll
        for (int k = 0; k < 4; ++k) scores[i][j] = fmaf(a[k], b[j][k], scores[i][j]);
      }
    }
  }
}

// Puts a lane's weights into its row, for `accumulate` by the lanes of this half warp. The caller separates writing and
// reading by __syncwarp or more.
template <typename Shape>
__device__ inline void write_weights(const Scores<Shape>& from, float* weights) {
  weights += group_of_thread() * Shape::kWeightPitch + lane_of_row();
#pragma unroll
  for (int i = 0; i < Shape::kRowsEach; ++i) {
#pragma unroll
    for (int j = 0; j < Shape::kColumnsEach; ++j)
      weights[i * Shape::kGroups * Shape::kWeightPitch + j * kLanes] = from[i][j];
  }
}

// sums += weights times other rows.
template <typename Shape>
__device__ inline void accumulate(const float* weights, const float* other, Sums<Shape>& sums) {
  weights += group_of_thread() * Shape::kWeightPitch;
  other += lane_of_row() * Shape::kRun;
#pragma unroll 1
  for (int j = 0; j < Shape::kOther; j += 4) {
    float a[Shape::kRowsEach][4];
#pragma unroll
    for (int i = 0; i < Shape::kRowsEach; ++i) read_run(weights + i * Shape::kGroups * Shape::kWeightPitch + j, a[i]);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
#pragma unroll
      for (int c = 0; c < Shape::kColumns; c += Shape::kRun) {
        float b[Shape::kRun];
        read_run(other + (j + k) * Shape::kPitch + c * kLanes, b);
#pragma unroll
        for (int i = 0; i < Shape::kRowsEach; ++i) {
#pragma unroll
          for (int r = 0; r < Shape::kRun; ++r) sums[i][c + r] = fmaf(a[i][k], b[r], sums[i][c + r]);
        }
      }
    }
  }
}

template <typename Shape>
__device__ inline void clear(Sums<Shape>& sums) {
#pragma unroll
  for (int i = 0; i < Shape::kRowsEach; ++i) {
#pragma unroll
    for (int c = 0; c < Shape::kColumns; ++c) sums[i][c] = 0;
  }
}

// Stores `factor` times one row of sums; `to` is the row's first element. `vectors` as for load_tile.
template <typename Shape, typename T>
__device__ inline void store_row(const float (&sums)[Shape::kColumns], float factor, int head_dim, bool vectors,
                                 T* to) {
  constexpr int kRun = Shape::kRun;
#pragma unroll
  for (int c = 0; c < Shape::kColumns; c += kRun) {
    const int column = c * kLanes + lane_of_row() * kRun;
    T values[kRun];
#pragma unroll
    for (int r = 0; r < kRun; ++r) store(values[r], factor * sums[c + r]);
    if (vectors) {
      using Word =
          std::conditional_t<sizeof(values) == 16, uint4, std::conditional_t<sizeof(values) == 8, uint2, uint32_t>>;
      static_assert(sizeof(Word) == sizeof(values));
      Word word;
      memcpy(&word, values, sizeof(word));
      if (column < head_dim) *reinterpret_cast<Word*>(to + column) = word;
    } else {
#pragma unroll
      for (int r = 0; r < kRun; ++r) {
        if (column + r < head_dim) to[column + r] = values[r];
      }
    }
  }
}

// Over the sixteen lanes of a row; all lanes of the warp take part.
__device__ inline float max_of_row(float value) {
  return warp_max<kLanes>(value);
}
__device__ inline float sum_of_row(float value) {
  return warp_sum<kLanes>(value);
}

// --- masks

// What both passes' kernels must know of the mask, besides whether it is causal (a template parameter, for speed).
struct Samples {
  int context;
  const int32_t* lengths;  // null: every sample is whole

  // Tokens of a sample that exist.
  __device__ int tokens(int sample) const {
    return lengths == nullptr ? context : max(0, min(context, lengths[sample]));
  }
};

// Rows of a tile that exist, of kRows from `first` on.
template <int kRows>
__device__ inline int rows_of_tile(int first, int tokens) {
  return max(0, min(kRows, tokens - first));
}

// --- host side

// Whether every row of every head may be read and written by 16-byte words.
template <typename T>
bool rows_aligned(const Attention& op, std::initializer_list<const Tensor*> tensors) {
  return op.head_dim % kPackSize<T> == 0 && std::all_of(tensors.begin(), tensors.end(), [&](const Tensor* tensor) {
           return in_packs<T>(tensor->data, op.ld);
         });
}

// Calls run.operator()<T, width, kCausal>() for the storage type, the smallest padded width and the mask.
template <typename Run>
void dispatch(DType dtype, const Attention& op, const Run& run) {
  NX_CHECK(op.head_dim <= kMaxHeadDim, "heads of {} elements", op.head_dim);
  with_element(dtype, [&]<typename T>() {
    const auto with_width = [&]<bool kCausal>() {
      if (op.head_dim <= 32) return run.template operator()<T, 32, kCausal>();
      if (op.head_dim <= 64) return run.template operator()<T, 64, kCausal>();
      if (op.head_dim <= 128) return run.template operator()<T, 128, kCausal>();
      return run.template operator()<T, 256, kCausal>();
    };
    if (op.causal()) return with_width.template operator()<true>();
    return with_width.template operator()<false>();
  });
}

inline Samples samples_of(const Attention& op, const Tensor& lengths) {
  return {static_cast<int>(op.context), lengths.defined() ? lengths.as<int32_t>() : nullptr};
}

// Tiles of a sequence. Kernels count tokens, heads and blocks in 32 bits, and elements in 64.
inline int tiles_of(const Attention& op, int rows_of_tile) {
  const int64_t tiles = (op.context + rows_of_tile - 1) / rows_of_tile;
  NX_CHECK(op.context < (int64_t{1} << 30) && op.batch * op.heads * tiles < (int64_t{1} << 31),
           "{} sequences of {} tokens and {} heads", op.batch, op.context, op.heads);
  return static_cast<int>(tiles);
}

template <auto kKernel, int kSharedBytes = 0, typename Arguments>
void launch(int64_t blocks, int threads, const Arguments& arguments, Queue& queue) {
  NX_CHECK(blocks < (int64_t{1} << 31), "{} blocks", blocks);
  if (blocks == 0) return;
  // More than 48 KiB of shared memory must be asked for: once per kernel, as a process has one device.
  if constexpr (kSharedBytes > 48 * 1024) {
    [[maybe_unused]] static const bool admitted = [] {
      NX_CUDA(cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes));
      return true;
    }();
  }
  kKernel<<<static_cast<unsigned>(blocks), threads, kSharedBytes, queue.stream()>>>(arguments);
  NX_CUDA(cudaGetLastError());
}

}  // namespace nexus::cuda::attention
