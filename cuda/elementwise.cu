#include <algorithm>
#include <numeric>
#include <type_traits>
#include <utility>

#include "cuda/device.h"
#include "cuda/quads.cuh"
#include "cuda/split_index.cuh"

namespace nexus::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kQuadsPerThread = 2;
constexpr int64_t kBlockElements = int64_t{kThreads} * kQuadsPerThread * kQuad;

// to = from, or to += from, in f32 with one rounding to the target's type.
template <bool kAdd, typename From, typename To>
__device__ void move_element(const From& from, To& to) {
  store(to, kAdd ? to_float(to) + to_float(from) : to_float(from));
}

template <bool kAdd, typename From, typename To>
__device__ void move_quad(const From* __restrict__ from, To* __restrict__ to) {
  float x[kQuad];
  load_quad(from, x);
  if constexpr (kAdd) {
    float y[kQuad];
    load_quad(to, y);
#pragma unroll
    for (int i = 0; i < kQuad; ++i) x[i] = y[i] + x[i];
  }
  store_quad(to, x);
}

template <bool kAdd, typename From, typename To>
__global__ void __launch_bounds__(kThreads)
    move_kernel(const From* __restrict__ from, To* __restrict__ to, int64_t count, bool quads) {
  const int64_t begin = blockIdx.x * kBlockElements, end = min(count, begin + kBlockElements);
  if (quads && end == begin + kBlockElements) {
#pragma unroll
    for (int round = 0; round < kQuadsPerThread; ++round) {
      const int64_t at = begin + (round * kThreads + threadIdx.x) * kQuad;
      move_quad<kAdd>(from + at, to + at);
    }
    return;
  }
#pragma unroll 4
  for (int64_t at = begin + threadIdx.x; at < end; at += kThreads) move_element<kAdd>(from[at], to[at]);
}

template <bool kAdd, typename From, typename To>
void launch_move(const From* from, To* to, int64_t count, Queue& queue) {
  const auto blocks = static_cast<unsigned>((count + kBlockElements - 1) / kBlockElements);
  move_kernel<kAdd><<<blocks, kThreads, 0, queue.stream()>>>(from, to, count, at_quad(from) && at_quad(to));
  NX_CUDA(cudaGetLastError());
}

void copy_bytes(const void* from, void* to, int64_t size_bytes, Queue& queue) {
  NX_CUDA(cudaMemcpyAsync(to, from, static_cast<size_t>(size_bytes), cudaMemcpyDeviceToDevice, queue.stream()));
}

// Rows of `units` units, `rows` of them in a matrix; strides in units.
struct CopyLayout {
  int64_t rows, units;
  int64_t from_ld, from_stride, to_ld, to_stride;
};

constexpr uint32_t kUnitsPerThread = 4;
constexpr uint32_t kBlockUnits = kThreads * kUnitsPerThread;

// The units of all rows of all matrices are counted through, so that any shape shares out evenly.
template <typename Unit>
__global__ void __launch_bounds__(kThreads)
    copy_units(const Unit* __restrict__ from, Unit* __restrict__ to, CopyLayout layout, int64_t count) {
  const int64_t begin = int64_t{blockIdx.x} * kBlockUnits;
  const int64_t first_line = begin / layout.units, first_column = begin % layout.units;
  const int64_t first_batch = first_line / layout.rows, first_row = first_line % layout.rows;
  Unit held[kUnitsPerThread];
  int64_t target[kUnitsPerThread];
#pragma unroll
  for (uint32_t i = 0; i < kUnitsPerThread; ++i) {
    const uint32_t step = i * kThreads + threadIdx.x;
    if (begin + step >= count) break;
    const SplitIndex line = split_index<kBlockUnits>(first_column, step, layout.units);
    const SplitIndex matrix = split_index<kBlockUnits>(first_row, static_cast<uint32_t>(line.quotient), layout.rows);
    const int64_t batch = first_batch + matrix.quotient, row = matrix.remainder;
    held[i] = from[batch * layout.from_stride + row * layout.from_ld + line.remainder];
    target[i] = batch * layout.to_stride + row * layout.to_ld + line.remainder;
  }
#pragma unroll
  for (uint32_t i = 0; i < kUnitsPerThread; ++i)
    if (begin + i * kThreads + threadIdx.x < count) to[target[i]] = held[i];
}

template <typename Unit>
void launch_copy(const Mat& from, const Mat& to, int64_t element_bytes, Queue& queue) {
  const auto units = [&](int64_t elements) { return elements * element_bytes / static_cast<int64_t>(sizeof(Unit)); };
  const CopyLayout layout = {to.rows,      units(to.cols),        units(from.ld), units(from.batch_stride),
                             units(to.ld), units(to.batch_stride)};
  const int64_t count = to.batch * layout.rows * layout.units;
  const auto blocks = static_cast<unsigned>((count + kBlockUnits - 1) / kBlockUnits);
  copy_units<<<blocks, kThreads, 0, queue.stream()>>>(static_cast<const Unit*>(from.data), static_cast<Unit*>(to.data),
                                                      layout, count);
  NX_CUDA(cudaGetLastError());
}

// The same copy in as few and as long rows as it has: strides that nothing is reached by become zero.
void merge_rows(Mat& from, Mat& to) {
  if (from.ld == from.cols && to.ld == to.cols) {
    for (Mat* m : {&from, &to}) m->cols *= std::exchange(m->rows, 1);
  }
  if (to.rows == 1 && from.batch_stride == from.cols && to.batch_stride == to.cols) {
    for (Mat* m : {&from, &to}) m->cols *= std::exchange(m->batch, 1);
  }
  for (Mat* m : {&from, &to}) {
    if (m->rows == 1) m->ld = 0;
    if (m->batch == 1) m->batch_stride = 0;
  }
}

// A thread has one column of every kRowsPerBlock rows that its block comes to.
constexpr int kRowsPerBlock = 8;

template <typename T>
__global__ void __launch_bounds__(kThreads)
    scale_columns(T* __restrict__ x, int64_t rows, int64_t width, int64_t begin, float factor) {
  const int64_t column = begin + int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (column >= width) return;
  for (int64_t row = int64_t{blockIdx.y} * kRowsPerBlock; row < rows; row += int64_t{gridDim.y} * kRowsPerBlock) {
#pragma unroll
    for (int i = 0; i < kRowsPerBlock; ++i)
      if (T* at = x + (row + i) * width + column; row + i < rows) store(*at, factor * to_float(*at));
  }
}

// The largest power of two that divides every address of the copy, in bytes.
int64_t common_alignment(const Mat& from, const Mat& to, int64_t element_bytes) {
  int64_t divisor = to.cols * element_bytes;
  for (const Mat* m : {&from, &to}) {
    divisor = std::gcd(divisor, m->ld * element_bytes);
    divisor = std::gcd(divisor, m->batch_stride * element_bytes);
    divisor = std::gcd(divisor, static_cast<int64_t>(reinterpret_cast<uintptr_t>(m->data)));
  }
  return divisor & -divisor;
}

}  // namespace

template <>
void compute(const ops::Zero& op, Device& device) {
  if (op.x.count() == 0) return;
  NX_CUDA(cudaMemsetAsync(op.x.data, 0, static_cast<size_t>(op.x.size_bytes()), device.queue.stream()));
}

template <>
void compute(const ops::Copy& op, Device& device) {
  if (op.to.count() == 0) return;
  if (op.from.dtype == op.to.dtype) return copy_bytes(op.from.data, op.to.data, op.to.size_bytes(), device.queue);
  with_element(op.from.dtype, [&]<typename From>() {
    with_element(op.to.dtype, [&]<typename To>() {
      if constexpr (!std::is_same_v<From, To>)
        launch_move<false>(static_cast<const From*>(op.from.data), static_cast<To*>(op.to.data), op.to.count(),
                           device.queue);
    });
  });
}

template <>
void compute(const ops::Add& op, Device& device) {
  if (op.y.count() == 0) return;
  with_element(op.x.dtype, [&]<typename From>() {
    with_element(op.y.dtype, [&]<typename To>() {
      launch_move<true>(static_cast<const From*>(op.x.data), static_cast<To*>(op.y.data), op.y.count(), device.queue);
    });
  });
}

template <>
void compute(const ops::CopyMatrix& op, Device& device) {
  if (op.to.rows == 0 || op.to.cols == 0 || op.to.batch == 0) return;
  Mat source = op.from, target = op.to;
  merge_rows(source, target);
  const int64_t element_bytes = size_of(op.to.dtype);
  if (target.rows == 1 && target.batch == 1)
    return copy_bytes(source.data, target.data, target.cols * element_bytes, device.queue);
  switch (std::min<int64_t>(common_alignment(source, target, element_bytes), 16)) {
    case 16: return launch_copy<uint4>(source, target, element_bytes, device.queue);
    case 8: return launch_copy<uint2>(source, target, element_bytes, device.queue);
    case 4: return launch_copy<uint32_t>(source, target, element_bytes, device.queue);
    default: return launch_copy<uint16_t>(source, target, element_bytes, device.queue);
  }
}

template <>
void compute(const ops::ScaleColumns& op, Device& device) {
  const int64_t columns = op.width() - op.begin;
  if (columns == 0 || op.rows() == 0) return;
  constexpr int64_t kMostRowBlocks = 65535;  // of a grid's second extent
  const dim3 grid(static_cast<unsigned>((columns + kThreads - 1) / kThreads),
                  static_cast<unsigned>(std::min((op.rows() + kRowsPerBlock - 1) / kRowsPerBlock, kMostRowBlocks)));
  with_element(op.x.dtype, [&]<typename T>() {
    scale_columns<<<grid, kThreads, 0, device.queue.stream()>>>(static_cast<T*>(op.x.data), op.rows(), op.width(),
                                                                op.begin, static_cast<float>(op.factor));
  });
  NX_CUDA(cudaGetLastError());
}

}  // namespace nexus::cuda
