#include "cuda/row_norm.cuh"

namespace nexus::cuda {

namespace {

struct RowStats {
  float mean, inverse;  // mean is 0 for RMS
};

__device__ float inverse_deviation(float squares, int64_t width, float eps) {
  return 1.0f / sqrtf(squares / static_cast<float>(width) + eps);
}

__device__ void store_stats(float* stats, int64_t row, RowStats found) {
  stats[row * 2] = found.mean;
  stats[row * 2 + 1] = found.inverse;
}

// x += delta in the row's registers and in memory. The statistics see the sum as it is stored.
template <typename T, int kPacks, int kWarps>
__device__ void add_delta(RegisterRow<T, kPacks, kWarps>& x, T* stream, const T* delta, int width) {
  using Row = RegisterRow<T, kPacks, kWarps>;
  Row update;
  update.load(delta, width);
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    float sum[Row::kSize], more[Row::kSize];
    unpack(x.packs[i], sum);
    unpack(update.packs[i], more);
#pragma unroll
    for (int j = 0; j < Row::kSize; ++j) sum[j] += more[j];
    x.store(i, sum, stream, width);
  }
}

template <typename T, int kPacks, int kWarps>
__device__ RowStats row_stats(const RowNorm& op, const RegisterRow<T, kPacks, kWarps>& x, int width, float* shared) {
  using Row = RegisterRow<T, kPacks, kWarps>;
  float sum = 0, squares = 0, values[Row::kSize];
  if (op.kind == RowNormKind::kLayer) {
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      unpack(x.packs[i], values);
#pragma unroll
      for (int j = 0; j < Row::kSize; ++j) sum += values[j];
    }
    sum = row_sum<kWarps>(sum, shared);
  }
  const float mean = sum / static_cast<float>(width);
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    const float centre = Row::at(i) < width ? mean : 0.0f;
    unpack(x.packs[i], values);
#pragma unroll
    for (int j = 0; j < Row::kSize; ++j) squares += (values[j] - centre) * (values[j] - centre);
  }
  return {mean, inverse_deviation(row_sum<kWarps>(squares, shared), width, static_cast<float>(op.eps))};
}

template <typename T, int kPacks, int kWarps>
__global__ void __launch_bounds__(kThreadsOf<kWarps>)
    add_norm_rows(RowNorm op, T* __restrict__ x, const T* __restrict__ delta, const T* __restrict__ weight,
                  T* __restrict__ y, float* __restrict__ stats, int64_t rows, int width) {
  using Row = RegisterRow<T, kPacks, kWarps>;
  __shared__ float shared[kWarps];
  const int64_t row = int64_t{blockIdx.x} * kRowsOf<kWarps> + threadIdx.x / Row::kLanes;
  if (row >= rows) return;  // a whole warp; a block that shares a row always has one
  Row held;
  held.load(x + row * width, width);
  if (delta != nullptr) add_delta(held, x + row * width, delta + row * width, width);
  const RowStats found = row_stats(op, held, width, shared);
  if (Row::lane() == 0) store_stats(stats, row, found);
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    float values[Row::kSize], gain[Row::kSize];
    unpack(held.packs[i], values);
    load_gain(weight, Row::at(i), width, gain);
#pragma unroll
    for (int j = 0; j < Row::kSize; ++j) values[j] = (values[j] - found.mean) * found.inverse * gain[j];
    held.store(i, values, y + row * width, width);
  }
}

template <typename T>
__global__ void __launch_bounds__(kAnyWarps* kWarp)
    add_norm_any(RowNorm op, T* __restrict__ x, const T* __restrict__ delta, const T* __restrict__ weight,
                 T* __restrict__ y, float* __restrict__ stats, int64_t rows, int64_t width) {
  const int64_t row = int64_t{blockIdx.x} * kAnyWarps + threadIdx.x / kWarp;
  if (row >= rows) return;
  const int lane = threadIdx.x % kWarp;
  T* in = x + row * width;
  if (delta != nullptr)
    for (int64_t j = lane; j < width; j += kWarp) store(in[j], to_float(in[j]) + to_float(delta[row * width + j]));
  float sum = 0, squares = 0;
  if (op.kind == RowNormKind::kLayer)
    for (int64_t j = lane; j < width; j += kWarp) sum += to_float(in[j]);
  const float mean = warp_sum(sum) / static_cast<float>(width);
  for (int64_t j = lane; j < width; j += kWarp) squares += (to_float(in[j]) - mean) * (to_float(in[j]) - mean);
  const RowStats found = {mean, inverse_deviation(warp_sum(squares), width, static_cast<float>(op.eps))};
  if (lane == 0) store_stats(stats, row, found);
  for (int64_t j = lane; j < width; j += kWarp) {
    const float normal = (to_float(in[j]) - found.mean) * found.inverse;
    store(y[row * width + j], weight != nullptr ? normal * to_float(weight[j]) : normal);
  }
}

template <typename T>
void launch_forward(const RowNorm& op, const Tensor& x, const Tensor& delta, const Tensor& weight, const Tensor& y,
                    const Tensor& stats, Queue& queue) {
  const int64_t rows = x.shape[0], width = x.shape[1];
  const T *update = data_of<T>(delta), *gain = data_of<T>(weight);
  T *stream = static_cast<T*>(x.data), *output = static_cast<T*>(y.data);
  const bool packs = in_packs<T>(stream, width) && in_packs<T>(update, width) && in_packs<T>(gain, width) &&
                     in_packs<T>(output, width);
  const bool done =
      packs && with_register_row<T>(width, [&]<int kPacks, int kWarps>() {
        add_norm_rows<T, kPacks, kWarps><<<blocks_of(rows, kRowsOf<kWarps>), kThreadsOf<kWarps>, 0, queue.stream()>>>(
            op, stream, update, gain, output, stats.as<float>(), rows, static_cast<int>(width));
      });
  if (!done)
    add_norm_any<T><<<blocks_of(rows, kAnyWarps), kAnyWarps * kWarp, 0, queue.stream()>>>(
        op, stream, update, gain, output, stats.as<float>(), rows, width);
  NX_CUDA(cudaGetLastError());
}

}  // namespace

template <>
void compute(const ops::AddNormForward& op, Device& device) {
  if (op.x.count() == 0) return;
  with_element(op.x.dtype, [&]<typename T>() {
    launch_forward<T>(op.options, op.x, op.delta, op.weight, op.y, op.stats, device.queue);
  });
}

}  // namespace nexus::cuda
