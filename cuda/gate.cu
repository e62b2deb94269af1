// Activations without a norm, element by element: GELU, and SwiGLU (Shazeer 2020), silu(gate) * up. Every thread has a
// few chunks, all loaded before the first is used.
#include "cuda/chunk.cuh"
#include "cuda/device.h"
#include "cuda/gelu.cuh"

namespace nexus::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kChunksEach = 2;  // per thread, of the elementwise kernels

// The part of this thread in a flat buffer, which is cut into stretches of one block each.
template <typename T>
struct Stretch {
  static constexpr int64_t kSize = int64_t{kThreads} * kChunksEach * Chunk<T>::kSize;
  int64_t begin;
  RowPart part;

  __device__ __forceinline__ Stretch(int64_t count, bool whole) : begin(blockIdx.x * kSize) {
    const int64_t width = count - begin < kSize ? count - begin : kSize;
    part = {static_cast<int>(threadIdx.x) * Chunk<T>::kSize, kThreads * Chunk<T>::kSize, static_cast<int>(width),
            // The last stretch may end within a chunk.
            whole && width % Chunk<T>::kSize == 0};
  }
};

template <typename T, GeluKind kGelu>
__global__ void __launch_bounds__(kThreads) gelu_forward_kernel(const T* h, T* a, int64_t count, bool whole) {
  const Stretch<T> mine(count, whole);
  Chunk<T> chunks[kChunksEach];
  load_row(h + mine.begin, mine.part, chunks);
#pragma unroll
  for (Chunk<T>& chunk : chunks) {
    float values[Chunk<T>::kSize];
#pragma unroll
    for (int i = 0; i < Chunk<T>::kSize; ++i) values[i] = gelu_value<kGelu, T>(chunk[i]);
    chunk.set(values);
  }
  store_row(a + mine.begin, mine.part, chunks);
}

// dh may be da: a thread loads all of its elements before it stores the first.
template <typename T, GeluKind kGelu>
__global__ void __launch_bounds__(kThreads)
    gelu_backward_kernel(const T* da, const T* h, T* dh, int64_t count, bool whole) {
  const Stretch<T> mine(count, whole);
  Chunk<T> gradients[kChunksEach], chunks[kChunksEach];
  load_row(h + mine.begin, mine.part, chunks);
  load_row(da + mine.begin, mine.part, gradients);
#pragma unroll
  for (int k = 0; k < kChunksEach; ++k) {
    float values[Chunk<T>::kSize];
#pragma unroll
    for (int i = 0; i < Chunk<T>::kSize; ++i) values[i] = gradients[k][i] * gelu_slope<kGelu, T>(chunks[k][i]);
    chunks[k].set(values);
  }
  store_row(dh + mine.begin, mine.part, chunks);
}

// A chunk of gates, the chunk of values beside it, and the row that both are in.
struct GatePlace {
  int64_t row;
  RowPart part;
};

// Chunks are counted along the rows; a 32-bit division finds the row.
template <typename T>
__device__ __forceinline__ GatePlace gate_place(int width, uint32_t chunks_per_row, bool whole) {
  const uint32_t chunk = blockIdx.x * kThreads + threadIdx.x, row = chunk / chunks_per_row;
  return {row, {static_cast<int>(chunk - row * chunks_per_row) * Chunk<T>::kSize, 0, width, whole}};
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    swiglu_forward_kernel(const T* h, T* a, int64_t rows, int width, uint32_t chunks_per_row, bool whole) {
  const auto [row, part] = gate_place<T>(width, chunks_per_row, whole);
  if (row >= rows) return;
  const T* gates = h + row * 2 * width;
  Chunk<T> gate[1], up[1];
  load_row(gates, part, gate);
  load_row(gates + width, part, up);
  float values[Chunk<T>::kSize];
#pragma unroll
  for (int i = 0; i < Chunk<T>::kSize; ++i) values[i] = silu(gate[0][i]).value * up[0][i];
  gate[0].set(values);
  store_row(a + row * width, part, gate);
}

template <typename T>
__global__ void __launch_bounds__(kThreads) swiglu_backward_kernel(const T* da, const T* h, T* dh, int64_t rows,
                                                                   int width, uint32_t chunks_per_row, bool whole) {
  const auto [row, part] = gate_place<T>(width, chunks_per_row, whole);
  if (row >= rows) return;
  const int64_t at = row * 2 * width;
  Chunk<T> gradient[1], gate[1], up[1];
  load_row(h + at, part, gate);
  load_row(h + at + width, part, up);
  load_row(da + row * width, part, gradient);
  float gate_gradient[Chunk<T>::kSize], up_gradient[Chunk<T>::kSize];
#pragma unroll
  for (int i = 0; i < Chunk<T>::kSize; ++i) {
    const ValueAndSlope active = silu(gate[0][i]);
    gate_gradient[i] = gradient[0][i] * up[0][i] * active.slope;
    up_gradient[i] = gradient[0][i] * active.value;
  }
  gate[0].set(gate_gradient);
  up[0].set(up_gradient);
  store_row(dh + at, part, gate);
  store_row(dh + at + width, part, up);
}

// Blocks for `items`, so many to a block; grids are 31 bits wide.
unsigned blocks_for(int64_t items, int64_t per_block) {
  const int64_t blocks = (items + per_block - 1) / per_block;
  NX_CHECK(blocks <= INT32_MAX, "a launch of {} blocks", blocks);
  return static_cast<unsigned>(blocks);
}

// A thread for every chunk of a; the kernels number them in 32 bits.
template <typename T>
unsigned swiglu_blocks(int64_t rows, int64_t width) {
  const int64_t chunks = rows * chunks_of<T>(width);
  NX_CHECK(chunks <= int64_t{UINT32_MAX} - kThreads && width <= INT32_MAX / 2, "SwiGLU of {} rows of {}", rows, width);
  return blocks_for(chunks, kThreads);
}

template <typename T>
void gelu_forward(GeluKind gelu, const Tensor& h, const Tensor& a, Queue& queue) {
  const T* in = h.as<T>();
  T* out = a.as<T>();
  const bool whole = rows_are_whole<T>(0, {in, out});
  with_gelu(gelu, [&]<GeluKind kGelu>() {
    gelu_forward_kernel<T, kGelu>
        <<<blocks_for(h.count(), Stretch<T>::kSize), kThreads, 0, queue.stream()>>>(in, out, h.count(), whole);
  });
}

template <typename T>
void gelu_backward(GeluKind gelu, const Tensor& da, const Tensor& h, const Tensor& dh, Queue& queue) {
  const T *gradient = da.as<T>(), *in = h.as<T>();
  T* out = dh.as<T>();
  const bool whole = rows_are_whole<T>(0, {gradient, in, out});
  with_gelu(gelu, [&]<GeluKind kGelu>() {
    gelu_backward_kernel<T, kGelu><<<blocks_for(h.count(), Stretch<T>::kSize), kThreads, 0, queue.stream()>>>(
        gradient, in, out, h.count(), whole);
  });
}

template <typename T>
void swiglu_forward(const Tensor& h, const Tensor& a, Queue& queue) {
  const int64_t rows = a.shape[0], width = a.shape[1];
  const T* in = h.as<T>();
  T* out = a.as<T>();
  swiglu_forward_kernel<T><<<swiglu_blocks<T>(rows, width), kThreads, 0, queue.stream()>>>(
      in, out, rows, static_cast<int>(width), static_cast<uint32_t>(chunks_of<T>(width)),
      rows_are_whole<T>(width, {in, out}));
}

template <typename T>
void swiglu_backward(const Tensor& da, const Tensor& h, const Tensor& dh, Queue& queue) {
  const int64_t rows = da.shape[0], width = da.shape[1];
  const T *gradient = da.as<T>(), *in = h.as<T>();
  T* out = dh.as<T>();
  swiglu_backward_kernel<T><<<swiglu_blocks<T>(rows, width), kThreads, 0, queue.stream()>>>(
      gradient, in, out, rows, static_cast<int>(width), static_cast<uint32_t>(chunks_of<T>(width)),
      rows_are_whole<T>(width, {gradient, in, out}));
}

}  // namespace

template <>
void compute(const ops::GateForward& op, Device& device) {
  if (op.a.count() == 0) return;
  with_element(op.h.dtype, [&]<typename T>() {
    if (op.gate == GateKind::kSwiGlu)
      swiglu_forward<T>(op.h, op.a, device.queue);
    else
      gelu_forward<T>(op.gelu, op.h, op.a, device.queue);
  });
  NX_CUDA(cudaGetLastError());
}

template <>
void compute(const ops::GateBackward& op, Device& device) {
  if (op.da.count() == 0) return;
  with_element(op.h.dtype, [&]<typename T>() {
    if (op.gate == GateKind::kSwiGlu)
      swiglu_backward<T>(op.da, op.h, op.dh, device.queue);
    else
      gelu_backward<T>(op.gelu, op.da, op.h, op.dh, device.queue);
  });
  NX_CUDA(cudaGetLastError());
}

}  // namespace nexus::cuda
