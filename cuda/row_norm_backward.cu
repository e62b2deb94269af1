#include <algorithm>

#include "cuda/column_sums.cuh"
#include "cuda/row_norm.cuh"

namespace nexus::cuda {

namespace {

// dx += through the norm: inverse * (g - mean(g) - n mean(g n)) with g = dy * weight and n the normalised x; the mean
// of g is for layer norms only.
struct RowPull {
  float shift, pull;
};

template <int kWarps>
__device__ RowPull row_pull(const RowNorm& op, float sum, float product, int64_t width, float* shared) {
  const auto count = static_cast<float>(width);
  const float shift = op.kind == RowNormKind::kLayer ? row_sum<kWarps>(sum, shared) / count : 0.0f;
  return {shift, row_sum<kWarps>(product, shared) / count};
}

// The columns' sums of a block of narrow rows: warps add theirs in order.
template <int kSize, int kPacks>
__device__ void write_columns(const float (&columns)[kPacks][kSize], float* partial, int width) {
  __shared__ float tile[kPacks * kSize][kWarp];
  const int lane = threadIdx.x % kWarp;
  for (int warp = 0; warp < kNarrowWarps; ++warp) {
    if (threadIdx.x / kWarp == warp) {
#pragma unroll
      for (int i = 0; i < kPacks * kSize; ++i)
        tile[i][lane] = (warp > 0 ? tile[i][lane] : 0.0f) + columns[i / kSize][i % kSize];
    }
    __syncthreads();
  }
  for (int at = threadIdx.x; at < width; at += kNarrowWarps * kWarp) {
    const int pack = at / kSize;
    partial[at] = tile[pack / kWarp * kSize + at % kSize][pack % kWarp];
  }
}

// The same for a block that holds one row: every thread has columns of its own.
template <int kWarps, int kSize, int kPacks>
__device__ void write_own_columns(const float (&columns)[kPacks][kSize], float* partial, int width) {
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    const int at = (i * kWarps * kWarp + static_cast<int>(threadIdx.x)) * kSize;
#pragma unroll
    for (int j = 0; j < kSize; ++j)
      if (at < width) partial[at + j] = columns[i][j];
  }
}

// The grid stays as long as there are rows, so that a lane sums its columns of dweight in registers; block b leaves its
// sums in row b of `partial`, if there is one.
template <typename T, int kPacks, int kWarps>
__global__ void __launch_bounds__(kThreadsOf<kWarps>)
    norm_backward_rows(RowNorm op, const T* __restrict__ dy, const T* __restrict__ x, const T* __restrict__ weight,
                       const float* __restrict__ stats, T* __restrict__ dx, float* __restrict__ partial, int64_t rows,
                       int width) {
  using Row = RegisterRow<T, kPacks, kWarps>;
  constexpr int kSize = Row::kSize;
  __shared__ float shared[kWarps];
  float columns[kPacks][kSize] = {};
  const int64_t stride = int64_t{gridDim.x} * kRowsOf<kWarps>;
  for (int64_t row = int64_t{blockIdx.x} * kRowsOf<kWarps> + threadIdx.x / Row::kLanes; row < rows; row += stride) {
    Row gradient, input, output;
    gradient.load(dy + row * width, width);
    input.load(x + row * width, width);
    output.load(dx + row * width, width);
    const float mean = stats[row * 2], inverse = stats[row * 2 + 1];
    // body(j, dy, g, n) for every element j of pack i.
    const auto for_elements = [&](int i, const auto& body) {
      float dys[kSize], xs[kSize], gain[kSize];
      unpack(gradient.packs[i], dys);
      unpack(input.packs[i], xs);
      load_gain(weight, Row::at(i), width, gain);
#pragma unroll
      for (int j = 0; j < kSize; ++j) body(j, dys[j], dys[j] * gain[j], (xs[j] - mean) * inverse);
    };
    float sum = 0, product = 0;
#pragma unroll
    for (int i = 0; i < kPacks; ++i)
      for_elements(i, [&](int, float, float g, float n) {
        sum += g;
        product += g * n;
      });
    const RowPull mean_of = row_pull<kWarps>(op, sum, product, width, shared);
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      float result[kSize];
      unpack(output.packs[i], result);
      for_elements(i, [&](int j, float dy_j, float g, float n) {
        result[j] += inverse * (g - mean_of.shift - mean_of.pull * n);
        columns[i][j] += dy_j * n;
      });
      output.store(i, result, dx + row * width, width);
    }
  }
  if (partial == nullptr) return;
  float* sums = partial + int64_t{blockIdx.x} * width;
  if constexpr (kWarps == 1)
    write_columns(columns, sums, width);
  else
    write_own_columns<kWarps>(columns, sums, width);
}

template <typename T>
__global__ void __launch_bounds__(kAnyWarps* kWarp)
    norm_backward_any(RowNorm op, const T* __restrict__ dy, const T* __restrict__ x, const T* __restrict__ weight,
                      const float* __restrict__ stats, T* __restrict__ dx, int64_t rows, int64_t width) {
  const int64_t row = int64_t{blockIdx.x} * kAnyWarps + threadIdx.x / kWarp;
  if (row >= rows) return;
  const int lane = threadIdx.x % kWarp;
  const float mean = stats[row * 2], inverse = stats[row * 2 + 1];
  const auto gradient = [&](int64_t j) {
    return to_float(dy[row * width + j]) * (weight != nullptr ? to_float(weight[j]) : 1.0f);
  };
  const auto normal = [&](int64_t j) { return (to_float(x[row * width + j]) - mean) * inverse; };
  float sum = 0, product = 0;
  for (int64_t j = lane; j < width; j += kWarp) {
    sum += gradient(j);
    product += gradient(j) * normal(j);
  }
  const RowPull mean_of = row_pull<1>(op, sum, product, width, nullptr);
  for (int64_t j = lane; j < width; j += kWarp) {
    T& to = dx[row * width + j];
    store(to, to_float(to) + inverse * (gradient(j) - mean_of.shift - mean_of.pull * normal(j)));
  }
}

// Row c of `partial`: the sums of dy * normalised x over chunk c of the rows.
template <typename T>
__global__ void __launch_bounds__(kTileRows* kWarp)
    sum_weight_gradients(const T* __restrict__ dy, const T* __restrict__ x, const float* __restrict__ stats,
                         float* __restrict__ partial, int64_t rows, int64_t width) {
  const int64_t column = int64_t{blockIdx.y} * kWarp + threadIdx.x, begin = int64_t{blockIdx.x} * kChunkRows;
  const int64_t end = min(rows, begin + kChunkRows);
  float sum = 0;
  if (column < width) {
    for (int64_t row = begin + threadIdx.y; row < end; row += kTileRows)
      sum += to_float(dy[row * width + column]) *
             ((to_float(x[row * width + column]) - stats[row * 2]) * stats[row * 2 + 1]);
  }
  sum = column_sum(sum);
  if (threadIdx.y == 0 && column < width) partial[blockIdx.x * width + column] = sum;
}

template <typename T>
struct BackwardOperands {
  const T *dy, *x, *weight;
  const float* stats;
  T* dx;
  float* dweight;
  int64_t rows, width;
};

// Blocks of a launch, whatever the device: their number decides the order in which dweight is summed. What the
// registers of the bf16 kernels admit at once on the 132 multiprocessors of an H200, so that there all rows are one
// wave.
template <int kPacks, int kWarps>
constexpr unsigned kMostBlocks = 132 * (kWarps > 1    ? kMaxPacks / kPacks
                                        : kPacks <= 2 ? 8
                                        : kPacks <= 5 ? 4
                                        : kPacks <= 6 ? 3
                                                      : 2);

template <typename T, int kPacks, int kWarps>
void launch_backward_rows(const RowNorm& op, const BackwardOperands<T>& to, Queue& queue) {
  const auto kernel = norm_backward_rows<T, kPacks, kWarps>;
  const unsigned blocks = std::min(blocks_of(to.rows, kRowsOf<kWarps>), kMostBlocks<kPacks, kWarps>);
  float* partial = to.dweight != nullptr ? queue.scratch_of<float>(blocks * to.width) : nullptr;
  kernel<<<blocks, kThreadsOf<kWarps>, 0, queue.stream()>>>(op, to.dy, to.x, to.weight, to.stats, to.dx, partial,
                                                            to.rows, static_cast<int>(to.width));
  NX_CUDA(cudaGetLastError());
  if (partial != nullptr) launch_add_columns(partial, to.dweight, blocks, to.width, queue);
}

template <typename T>
void launch_backward_any(const RowNorm& op, const BackwardOperands<T>& to, Queue& queue) {
  norm_backward_any<T><<<blocks_of(to.rows, kAnyWarps), kAnyWarps * kWarp, 0, queue.stream()>>>(
      op, to.dy, to.x, to.weight, to.stats, to.dx, to.rows, to.width);
  NX_CUDA(cudaGetLastError());
  if (to.dweight == nullptr) return;
  const unsigned chunks = blocks_of(to.rows, kChunkRows);
  float* partial = queue.scratch_of<float>(chunks * to.width);
  const dim3 blocks(chunks, blocks_of(to.width, kWarp)), threads(kWarp, kTileRows);
  sum_weight_gradients<T><<<blocks, threads, 0, queue.stream()>>>(to.dy, to.x, to.stats, partial, to.rows, to.width);
  NX_CUDA(cudaGetLastError());
  launch_add_columns(partial, to.dweight, chunks, to.width, queue);
}

}  // namespace

template <>
void compute(const ops::NormBackward& op, Device& device) {
  if (op.x.count() == 0) return;
  with_element(op.x.dtype, [&]<typename T>() {
    const BackwardOperands<T> to = {data_of<T>(op.dy),
                                    data_of<T>(op.x),
                                    data_of<T>(op.weight),
                                    op.stats.as<float>(),
                                    static_cast<T*>(op.dx.data),
                                    op.dweight.defined() ? op.dweight.as<float>() : nullptr,
                                    op.x.shape[0],
                                    op.x.shape[1]};
    const bool packs = in_packs<T>(to.dy, to.width) && in_packs<T>(to.x, to.width) &&
                       in_packs<T>(to.weight, to.width) && in_packs<T>(to.dx, to.width);
    const bool done = packs && with_register_row<T>(to.width, [&]<int kPacks, int kWarps>() {
                        launch_backward_rows<T, kPacks, kWarps>(op.options, to, device.queue);
                      });
    if (!done) launch_backward_any<T>(op.options, to, device.queue);
  });
}

}  // namespace nexus::cuda
