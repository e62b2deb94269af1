#include "cuda/column_sums.cuh"
#include "cuda/row_norm.cuh"

namespace nexus::cuda {

namespace {

// One head of one token for each warp.
template <typename T>
__global__ void __launch_bounds__(kAnyWarps* kWarp)
    norm_heads(HeadNorm op, T* __restrict__ x, const T* __restrict__ weight, T* __restrict__ kept,
               float* __restrict__ stats, int64_t count) {
  const int64_t at = int64_t{blockIdx.x} * kAnyWarps + threadIdx.x / kWarp;
  if (at >= count) return;
  const int64_t token = at / op.heads, head = at % op.heads, width = op.head_dim;
  const int lane = threadIdx.x % kWarp;
  T* in = x + token * op.ld + head * width;
  float squares = 0;
  for (int64_t j = lane; j < width; j += kWarp) squares += to_float(in[j]) * to_float(in[j]);
  const float inverse = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(width) + static_cast<float>(op.eps));
  if (stats != nullptr && lane == 0) stats[at] = inverse;
  for (int64_t j = lane; j < width; j += kWarp) {
    const T before = in[j];
    if (kept != nullptr) kept[at * width + j] = before;
    store(in[j], to_float(before) * inverse * to_float(weight[head * width + j]));
  }
}

// With n the normalised x and g = dy * weight: dx = inverse (g - n mean(g n)), in the place of dy.
template <typename T>
__global__ void __launch_bounds__(kAnyWarps* kWarp)
    norm_heads_backward(HeadNorm op, T* __restrict__ dx, const T* __restrict__ x, const T* __restrict__ weight,
                        const float* __restrict__ stats, int64_t count) {
  const int64_t at = int64_t{blockIdx.x} * kAnyWarps + threadIdx.x / kWarp;
  if (at >= count) return;
  const int64_t token = at / op.heads, head = at % op.heads, width = op.head_dim;
  const int lane = threadIdx.x % kWarp;
  T* gradient = dx + token * op.ld + head * width;
  const float inverse = stats[at];
  const auto weighted = [&](int64_t j) { return to_float(gradient[j]) * to_float(weight[head * width + j]); };
  const auto normal = [&](int64_t j) { return to_float(x[at * width + j]) * inverse; };
  float product = 0;
  for (int64_t j = lane; j < width; j += kWarp) product += weighted(j) * normal(j);
  const float pull = warp_sum(product) / static_cast<float>(width);
  for (int64_t j = lane; j < width; j += kWarp) store(gradient[j], inverse * (weighted(j) - pull * normal(j)));
}

// Row c of `partial`: the sums of dy * normalised x over chunk c of the tokens.
template <typename T>
__global__ void __launch_bounds__(kTileRows* kWarp)
    sum_head_weight_gradients(HeadNorm op, const T* __restrict__ dy, const T* __restrict__ x,
                              const float* __restrict__ stats, float* __restrict__ partial, int64_t tokens) {
  const int64_t width = op.heads * op.head_dim, column = int64_t{blockIdx.y} * kWarp + threadIdx.x;
  const int64_t begin = int64_t{blockIdx.x} * kChunkRows, end = min(tokens, begin + kChunkRows);
  float sum = 0;
  if (column < width) {
    const int64_t head = column / op.head_dim;
    for (int64_t token = begin + threadIdx.y; token < end; token += kTileRows)
      sum +=
          to_float(dy[token * op.ld + column]) * (to_float(x[token * width + column]) * stats[token * op.heads + head]);
  }
  sum = column_sum(sum);
  if (threadIdx.y == 0 && column < width) partial[blockIdx.x * width + column] = sum;
}

template <typename T>
void launch_backward(const ops::HeadNormBackward& op, Queue& queue) {
  const HeadNorm& norm = op.options;
  const int64_t tokens = op.x.shape[0], width = norm.heads * norm.head_dim, count = tokens * norm.heads;
  const T *x = data_of<T>(op.x), *weight = data_of<T>(op.weight);
  const float* stats = op.stats.as<float>();
  T* dx = static_cast<T*>(op.dx.data);
  const unsigned chunks = blocks_of(tokens, kChunkRows);
  float* partial = queue.scratch_of<float>(chunks * width);
  const dim3 blocks(chunks, blocks_of(width, kWarp)), threads(kWarp, kTileRows);
  sum_head_weight_gradients<T><<<blocks, threads, 0, queue.stream()>>>(norm, dx, x, stats, partial, tokens);
  NX_CUDA(cudaGetLastError());
  launch_add_columns(partial, op.dweight.as<float>(), chunks, width, queue);
  norm_heads_backward<T>
      <<<blocks_of(count, kAnyWarps), kAnyWarps * kWarp, 0, queue.stream()>>>(norm, dx, x, weight, stats, count);
  NX_CUDA(cudaGetLastError());
}

}  // namespace

template <>
void compute(const ops::HeadNormForward& op, Device& device) {
  const int64_t count = op.x.shape[0] * op.options.heads;
  if (count == 0) return;
  with_element(op.x.dtype, [&]<typename T>() {
    norm_heads<T><<<blocks_of(count, kAnyWarps), kAnyWarps * kWarp, 0, device.queue.stream()>>>(
        op.options, static_cast<T*>(op.x.data), data_of<T>(op.weight),
        op.kept.defined() ? static_cast<T*>(op.kept.data) : nullptr,
        op.stats.defined() ? op.stats.as<float>() : nullptr, count);
    NX_CUDA(cudaGetLastError());
  });
}

template <>
void compute(const ops::HeadNormBackward& op, Device& device) {
  if (op.x.count() == 0) return;
  with_element(op.x.dtype, [&]<typename T>() { launch_backward<T>(op, device.queue); });
}

}  // namespace nexus::cuda
