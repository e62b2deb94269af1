#include "cuda/device.h"
#include "cuda/device_math.cuh"
#include "cuda/quads.cuh"

namespace nexus::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kChunk = 16384;  // elements of a range that one block adds up

// One range on the device. Chunks are counted through over all ranges.
struct RangeTask {
  int64_t begin, count, first_chunk;
};

int64_t chunks_of(int64_t count) {
  return (count + kChunk - 1) / kChunk;
}

// The last range that begins at or before a chunk: the one that holds it, as empty ranges have no chunk.
__device__ RangeTask find_range(const RangeTask* ranges, int64_t count, int64_t chunk) {
  int64_t low = 0, high = count;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    if (ranges[middle].first_chunk <= chunk)
      low = middle;
    else
      high = middle;
  }
  return ranges[low];
}

template <bool kSquares>
__device__ double accumulate(double sum, const float (&x)[kQuad]) {
#pragma unroll
  for (int i = 0; i < kQuad; ++i) {
    const double value = static_cast<double>(x[i]);
    sum = kSquares ? fma(value, value, sum) : sum + value;
  }
  return sum;
}

// A thread adds quads t, t + kThreads, ... of the chunk, element by element. How they are loaded does not show in the
// order, so the bits do not depend on where the range lies. Zeros fill up the last quad.
template <bool kSquares, typename T>
__device__ double thread_sum(const T* x, int count) {
  constexpr int kRounds = kChunk / (kThreads * kQuad);
  double sum = 0;
  float quad[kQuad];
  if (count == kChunk && at_quad(x)) {
#pragma unroll 8
    for (int round = 0; round < kRounds; ++round) {
      load_quad(x + (round * kThreads + threadIdx.x) * kQuad, quad);
      sum = accumulate<kSquares>(sum, quad);
    }
    return sum;
  }
#pragma unroll 4
  for (int round = 0; round < kRounds; ++round) {
    const int at = (round * kThreads + static_cast<int>(threadIdx.x)) * kQuad;
#pragma unroll
    for (int i = 0; i < kQuad; ++i) quad[i] = at + i < count ? to_float(x[at + i]) : 0.0f;
    sum = accumulate<kSquares>(sum, quad);
  }
  return sum;
}

template <bool kSquares, typename T>
__global__ void __launch_bounds__(kThreads) sum_chunks(const T* __restrict__ x, const RangeTask* __restrict__ ranges,
                                                       int64_t range_count, double* __restrict__ chunk_sums) {
  __shared__ double shared[kThreads / kWarp];
  const RangeTask range = find_range(ranges, range_count, blockIdx.x);
  const int64_t at = (blockIdx.x - range.first_chunk) * kChunk;
  const int count = static_cast<int>(min(kChunk, range.count - at));
  const double sum = block_sum<kThreads / kWarp>(thread_sum<kSquares>(x + range.begin + at, count), shared);
  if (threadIdx.x == 0) chunk_sums[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads)
    sum_ranges(const RangeTask* __restrict__ ranges, const double* __restrict__ chunk_sums,
               double* __restrict__ range_sums) {
  __shared__ double shared[kThreads / kWarp];
  const RangeTask range = ranges[blockIdx.x];
  const int64_t chunks = (range.count + kChunk - 1) / kChunk;
  double sum = 0;
#pragma unroll 8
  for (int64_t i = threadIdx.x; i < chunks; i += kThreads) sum += chunk_sums[range.first_chunk + i];
  sum = block_sum<kThreads / kWarp>(sum, shared);
  if (threadIdx.x == 0) range_sums[blockIdx.x] = sum;
}

// out = (kAdd ? out : 0) + the ranges' sums in order: one thread adds what all have fetched.
template <bool kAdd>
__global__ void __launch_bounds__(kThreads)
    sum_in_order(const double* __restrict__ range_sums, int64_t count, double* __restrict__ out) {
  __shared__ double tile[kThreads];
  double sum = 0;
  if (kAdd && threadIdx.x == 0) sum = *out;
  for (int64_t begin = 0; begin < count; begin += kThreads) {
    if (begin + threadIdx.x < count) tile[threadIdx.x] = range_sums[begin + threadIdx.x];
    __syncthreads();
    const int size = static_cast<int>(min(int64_t{kThreads}, count - begin));
    if (threadIdx.x == 0) {
#pragma unroll 8
      for (int i = 0; i < size; ++i) sum += tile[i];
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) *out = sum;
}

// Chunks, ranges, their total: the order within each depends on the sizes of the ranges only. At least one range.
template <bool kSquares, bool kAdd>
void launch_sum(const Tensor& x, const std::vector<FlatRange>& ranges, const Tensor& out, Queue& queue) {
  NX_CHECK(static_cast<int64_t>(ranges.size() * sizeof(RangeTask)) <= Queue::kUploadBytes, "a sum over {} ranges",
           ranges.size());
  std::vector<RangeTask> tasks;
  int64_t chunks = 0;
  for (const FlatRange& range : ranges) {
    tasks.push_back({range.begin, range.count, chunks});
    chunks += chunks_of(range.count);
  }
  const auto count = static_cast<int64_t>(tasks.size());
  double* range_sums = queue.scratch_of<double>(count + chunks);
  double* chunk_sums = range_sums + count;
  const RangeTask* table = queue.upload_vector(tasks);
  with_element(x.dtype, [&]<typename T>() {
    if (chunks == 0) return;
    sum_chunks<kSquares><<<static_cast<unsigned>(chunks), kThreads, 0, queue.stream()>>>(static_cast<const T*>(x.data),
                                                                                         table, count, chunk_sums);
    NX_CUDA(cudaGetLastError());
  });
  sum_ranges<<<static_cast<unsigned>(count), kThreads, 0, queue.stream()>>>(table, chunk_sums, range_sums);
  NX_CUDA(cudaGetLastError());
  sum_in_order<kAdd><<<1, kThreads, 0, queue.stream()>>>(range_sums, count, out.as<double>());
  NX_CUDA(cudaGetLastError());
}

}  // namespace

template <>
void compute(const ops::AddSum& op, Device& device) {
  NX_CHECK(op.x.dtype == DType::kF32, "a sum of {} on this device", name_of(op.x.dtype));
  launch_sum<false, true>(op.x, {{0, op.x.count()}}, op.total, device.queue);
}

template <>
void compute(const ops::SumSquares& op, Device& device) {
  if (op.ranges.empty()) return compute(ops::Zero{op.out}, device);
  launch_sum<true, false>(op.x, op.ranges, op.out, device.queue);
}

}  // namespace nexus::cuda
