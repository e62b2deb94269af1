// The embedding table: rows gathered by token, gradients added by token.
//
// The gradient of a token is the sum of the rows of dout where it stands. Tokens are sorted (stably, so that rows keep
// their order), which turns every token's rows into one segment; a segment is summed by one owner per column in an
// order that only its length decides. No two threads add to the same element, and a slice of the vocabulary gets the
// bits that the whole would give it.
#include <cuda_runtime.h>

#include <algorithm>
#include <bit>
#include <cub/device/device_radix_sort.cuh>
#include <limits>
#include <type_traits>

#include "cuda/device.h"
#include "cuda/device_math.cuh"
#include "cuda/pack16.cuh"

namespace nexus::cuda {

namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarp;

// Segments of at most this many rows belong to a warp, whose lanes remember one row each. Longer ones (the commonest
// words: thousands of rows) belong to blocks.
constexpr int kShortRows = kWarp;
// Blocks of long segments: kLongLanes threads side by side take 128 bytes of a row, kLongRows rows at once.
constexpr int kLongLanes = 8, kLongRows = 64, kLongThreads = kLongLanes * kLongRows;

int blocks_for(int64_t items, int64_t per_block) {
  const int64_t blocks = (items + per_block - 1) / per_block;
  NX_CHECK(blocks <= std::numeric_limits<int>::max(), "{} blocks", blocks);
  return static_cast<int>(blocks);
}

// One warp copies one row, in units of 16 bytes or of an element; zeros for tokens that are not in the table.
template <typename Unit>
__global__ void __launch_bounds__(kThreads)
    gather_kernel(const int32_t* __restrict__ tokens, int64_t rows, const Unit* __restrict__ table, int64_t first_token,
                  int64_t vocabulary, int64_t width, Unit* __restrict__ out) {
  const int64_t row = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  if (row >= rows) return;
  const int64_t token = tokens[row] - first_token;
  const bool inside = token >= 0 && token < vocabulary;
  const Unit* from = table + (inside ? token : 0) * width;
  Unit* to = out + row * width;
#pragma unroll 4
  for (int64_t i = threadIdx.x % kWarp; i < width; i += kWarp) to[i] = inside ? from[i] : Unit{};
}

// The work space of one backward pass, in the queue's scratch memory.
struct Segments {
  uint32_t *keys, *sorted_keys;  // tokens of the slice; `vocabulary` for all others
  int32_t *rows, *order;         // row numbers, and the same sorted by key
  int32_t *begins, *ends;        // of every token's segment in `order`
  int32_t *long_tokens, *long_count;
  void* sort_space;
  size_t sort_bytes;
};

Segments carve(int64_t rows, int64_t vocabulary, int bits, Queue& queue) {
  Segments s{};
  NX_CUDA(cub::DeviceRadixSort::SortPairs(nullptr, s.sort_bytes, s.keys, s.sorted_keys, s.rows, s.order,
                                          static_cast<int>(rows), 0, bits, queue.stream()));
  int64_t size = 0;
  const auto place = [&](int64_t bytes) {
    const int64_t at = size;
    size += (bytes + 255) / 256 * 256;
    return at;
  };
  const int64_t per_row = rows * 4, per_token = vocabulary * 4;
  const int64_t at[] = {place(per_row),
                        place(per_row),
                        place(per_row),
                        place(per_row),
                        place(per_token),
                        place(per_token),
                        place((rows / kShortRows + 1) * 4),
                        place(4),
                        place(static_cast<int64_t>(s.sort_bytes))};
  char* base = static_cast<char*>(queue.scratch(size));
  s.keys = reinterpret_cast<uint32_t*>(base + at[0]);
  s.sorted_keys = reinterpret_cast<uint32_t*>(base + at[1]);
  s.rows = reinterpret_cast<int32_t*>(base + at[2]);
  s.order = reinterpret_cast<int32_t*>(base + at[3]);
  s.begins = reinterpret_cast<int32_t*>(base + at[4]);
  s.ends = reinterpret_cast<int32_t*>(base + at[5]);
  s.long_tokens = reinterpret_cast<int32_t*>(base + at[6]);
  s.long_count = reinterpret_cast<int32_t*>(base + at[7]);
  s.sort_space = base + at[8];
  return s;
}

__global__ void __launch_bounds__(kThreads)
    prepare_kernel(const int32_t* __restrict__ tokens, int rows, int64_t first_token, int vocabulary, Segments s) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < rows) {
    const int64_t token = tokens[i] - first_token;
    s.keys[i] = static_cast<uint32_t>(token >= 0 && token < vocabulary ? token : vocabulary);
    s.rows[i] = static_cast<int32_t>(i);
  }
  if (i < vocabulary) s.begins[i] = s.ends[i] = 0;
  if (i == 0) *s.long_count = 0;
}

__global__ void __launch_bounds__(kThreads) find_segments_kernel(int rows, int vocabulary, Segments s) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= rows) return;
  const uint32_t key = s.sorted_keys[i];
  if (key == static_cast<uint32_t>(vocabulary)) return;
  if (i == 0 || s.sorted_keys[i - 1] != key) s.begins[key] = static_cast<int32_t>(i);
  if (i == rows - 1 || s.sorted_keys[i + 1] != key) s.ends[key] = static_cast<int32_t>(i + 1);
}

// kPack elements of dout as they are loaded: one element, or 16 bytes.
template <typename T, int kPack>
using Bits = std::conditional_t<kPack == 1, T, uint4>;

template <typename T>
__device__ void add_bits(const T& bits, float (&sum)[1]) {
  sum[0] += to_float(bits);
}
template <int kPack>
__device__ void add_bits(const uint4& bits, float (&sum)[kPack]) {
  float x[kPack];
  unpack(bits, x);
#pragma unroll
  for (int j = 0; j < kPack; ++j) sum[j] += x[j];
}

template <int kPack>
__device__ void load_sums(const float* from, float (&sum)[kPack]) {
  if constexpr (kPack == 1) {
    sum[0] = *from;
  } else {
#pragma unroll
    for (int j = 0; j < kPack; j += 4) {
      const float4 four = *reinterpret_cast<const float4*>(from + j);
      sum[j] = four.x, sum[j + 1] = four.y, sum[j + 2] = four.z, sum[j + 3] = four.w;
    }
  }
}
template <int kPack>
__device__ void store_sums(const float (&sum)[kPack], float* to) {
  if constexpr (kPack == 1) {
    *to = sum[0];
  } else {
#pragma unroll
    for (int j = 0; j < kPack; j += 4)
      *reinterpret_cast<float4*>(to + j) = {sum[j], sum[j + 1], sum[j + 2], sum[j + 3]};
  }
}

// One warp adds the rows of one token, in order, to 32 * kPack columns of its gradient. Long segments are only listed,
// in any order: each is summed by itself.
template <typename T, int kPack>
__global__ void __launch_bounds__(kThreads)
    add_short_kernel(Segments s, const T* __restrict__ dout, int64_t width, int64_t chunks, int64_t pieces,
                     float* __restrict__ dweight) {
  constexpr int kAtOnce = 4;  // loads in flight per lane
  const int64_t piece = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  const int lane = threadIdx.x % kWarp;
  if (piece >= pieces) return;
  const int64_t token = piece / chunks, chunk = piece % chunks;
  const int begin = s.begins[token], count = s.ends[token] - begin;
  if (count == 0) return;
  if (count > kShortRows) {
    if (chunk == 0 && lane == 0) s.long_tokens[atomicAdd(s.long_count, 1)] = static_cast<int32_t>(token);
    return;
  }
  const int mine = s.order[begin + min(lane, count - 1)];
  const int64_t column = (chunk * kWarp + lane) * kPack;
  const bool active = column < width;  // the other lanes still tell their rows, and read others' columns
  const T* const from = dout + (active ? column : 0);
  float* const to = dweight + token * width + column;
  float sum[kPack] = {};
  if (active) load_sums(to, sum);
  for (int i = 0; i < count; i += kAtOnce) {
    int64_t rows[kAtOnce];
    Bits<T, kPack> bits[kAtOnce];
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) rows[u] = __shfl_sync(kAllLanes, mine, min(i + u, count - 1));
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) bits[u] = *reinterpret_cast<const Bits<T, kPack>*>(from + rows[u] * width);
    add_bits(bits[0], sum);
#pragma unroll
    for (int u = 1; u < kAtOnce; ++u)
      if (i + u < count) add_bits(bits[u], sum);
  }
  if (active) store_sums(sum, to);
}

// The rows row_lane, row_lane + kLongRows, ... of a segment, at the columns from `column`.
template <typename T, int kPack>
__device__ void sum_long(const int32_t* __restrict__ order, int count, int row_lane, const T* __restrict__ dout,
                         int64_t width, int64_t column, float (&sum)[kPack]) {
  constexpr int kAtOnce = 4;
  for (int i = row_lane; i < count; i += kAtOnce * kLongRows) {
    Bits<T, kPack> bits[kAtOnce];
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      if (i + u * kLongRows >= count) continue;
      const int64_t row = order[i + u * kLongRows];
      bits[u] = *reinterpret_cast<const Bits<T, kPack>*>(dout + row * width + column);
    }
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u)
      if (i + u * kLongRows < count) add_bits(bits[u], sum);
  }
}

// How many tokens are common is known on the device only: a fixed number of blocks shares (token, columns) items.
template <typename T, int kPack>
__global__ void __launch_bounds__(kLongThreads) add_long_kernel(Segments s, const T* __restrict__ dout, int64_t width,
                                                                int64_t chunks, float* __restrict__ dweight) {
  constexpr int kColumns = kLongLanes * kPack;
  __shared__ float parts[kLongRows][kColumns];
  const int column_lane = threadIdx.x % kLongLanes, row_lane = threadIdx.x / kLongLanes;
  const int64_t items = *s.long_count * chunks;
  for (int64_t item = blockIdx.x; item < items; item += gridDim.x) {
    const int64_t token = s.long_tokens[item / chunks], first_column = item % chunks * kColumns;
    const int64_t column = first_column + column_lane * kPack;
    const int begin = s.begins[token], count = s.ends[token] - begin;
    float sum[kPack] = {};
    if (column < width) sum_long<T, kPack>(s.order + begin, count, row_lane, dout, width, column, sum);
#pragma unroll
    for (int j = 0; j < kPack; ++j) parts[row_lane][column_lane * kPack + j] = sum[j];
    __syncthreads();
    if (threadIdx.x < kColumns && first_column + threadIdx.x < width) {
      float total = 0;
      for (int r = 0; r < kLongRows; ++r) total += parts[r][threadIdx.x];
      dweight[token * width + first_column + threadIdx.x] += total;
    }
    __syncthreads();  // `parts` is free again
  }
}

template <typename T, int kPack>
void add_segments(const Segments& s, const Tensor& dout, const Tensor& dweight, Queue& queue) {
  const int64_t vocabulary = dweight.shape[0], width = dweight.shape[1], rows = dout.shape[0];
  const T* from = static_cast<const T*>(dout.data);
  const int64_t chunks = (width + kWarp * kPack - 1) / (kWarp * kPack), pieces = vocabulary * chunks;
  add_short_kernel<T, kPack><<<blocks_for(pieces, kWarps), kThreads, 0, queue.stream()>>>(s, from, width, chunks,
                                                                                          pieces, dweight.as<float>());
  NX_CUDA(cudaGetLastError());
  if (rows <= kShortRows) return;
  const int64_t long_chunks = (width + kLongLanes * kPack - 1) / (kLongLanes * kPack);
  const int64_t most_items = rows / (kShortRows + 1) * long_chunks;
  const int blocks = static_cast<int>(std::min<int64_t>(most_items, 4 * queue.multiprocessors()));
  add_long_kernel<T, kPack>
      <<<blocks, kLongThreads, 0, queue.stream()>>>(s, from, width, long_chunks, dweight.as<float>());
  NX_CUDA(cudaGetLastError());
}

}  // namespace

template <>
void compute(const ops::EmbeddingForward& op, Device& device) {
  const int64_t rows = op.tokens.count(), width = op.weight.shape[1];
  if (rows == 0 || width == 0) return;
  const auto gather = [&]<typename Unit>(int64_t units) {
    gather_kernel<Unit><<<blocks_for(rows, kWarps), kThreads, 0, device.queue.stream()>>>(
        op.tokens.as<int32_t>(), rows, static_cast<const Unit*>(op.weight.data), op.first_token, op.weight.shape[0],
        units, static_cast<Unit*>(op.out.data));
    NX_CUDA(cudaGetLastError());
  };
  with_element(op.weight.dtype, [&]<typename T>() {
    if (in_packs<T>(op.weight.data, width) && in_packs<T>(op.out.data, width))
      gather.template operator()<uint4>(width / kPackSize<T>);
    else
      gather.template operator()<std::conditional_t<sizeof(T) == 2, uint16_t, uint32_t>>(width);
  });
}

template <>
void compute(const ops::EmbeddingBackward& op, Device& device) {
  const int64_t rows = op.tokens.count(), vocabulary = op.dweight.shape[0], width = op.dweight.shape[1];
  if (rows == 0 || vocabulary == 0 || width == 0) return;
  constexpr int64_t kMost = int64_t{1} << 30;  // row numbers are 32 bits, with room for the last step of a loop
  NX_CHECK(rows < kMost && vocabulary < kMost, "{} tokens of {}", rows, vocabulary);
  const int bits = std::bit_width(static_cast<uint64_t>(vocabulary));  // keys up to `vocabulary` itself
  Segments s = carve(rows, vocabulary, bits, device.queue);
  const cudaStream_t stream = device.queue.stream();
  prepare_kernel<<<blocks_for(std::max(rows, vocabulary), kThreads), kThreads, 0, stream>>>(
      op.tokens.as<int32_t>(), static_cast<int>(rows), op.first_token, static_cast<int>(vocabulary), s);
  NX_CUDA(cudaGetLastError());
  NX_CUDA(cub::DeviceRadixSort::SortPairs(s.sort_space, s.sort_bytes, s.keys, s.sorted_keys, s.rows, s.order,
                                          static_cast<int>(rows), 0, bits, stream));
  find_segments_kernel<<<blocks_for(rows, kThreads), kThreads, 0, stream>>>(static_cast<int>(rows),
                                                                            static_cast<int>(vocabulary), s);
  NX_CUDA(cudaGetLastError());
  with_element(op.dout.dtype, [&]<typename T>() {
    constexpr int kPack = kPackSize<T>;
    if (in_packs<T>(op.dout.data, width) && in_packs<float>(op.dweight.data, width))
      add_segments<T, kPack>(s, op.dout, op.dweight, device.queue);
    else
      add_segments<T, 1>(s, op.dout, op.dweight, device.queue);
  });
}

}  // namespace nexus::cuda
