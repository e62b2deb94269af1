// Cross entropy over rows of logits, which become their own gradient in place.
//
// One block has one row. A row of up to 64 KB (32000 bf16 logits) is read once and held in registers between the sum
// and the gradient: 4 bytes of traffic per bf16 logit. A longer row is streamed: read twice, backwards the second time,
// so that much of it is still in the L2 cache.
#include <cuda_runtime.h>

#include <limits>

#include "cuda/device.h"
#include "cuda/softmax_row.cuh"

namespace nexus::cuda {

namespace {

constexpr int kMostHeldPacks = 8;  // per thread: 32 registers
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// --- the whole operation

__device__ float loss_of(const ExpSum& all, float target_logit) {
  return (all.highest - target_logit) + logf(all.sum);
}

// Writes the loss and says what the gradient needs. A target that is neither -1 nor in the vocabulary cannot be refused
// from here; its loss and gradient are NaN, which nobody overlooks.
__device__ ExpSum finish_loss(ExpSum all, int target, int width, float target_logit, float* loss) {
  if (target < 0 || target >= width) all.sum = kNan;
  if (threadIdx.x == 0) *loss = loss_of(all, target_logit);
  return all;
}

template <typename T>
__device__ float target_logit(const CutRow<T>& row, int target, int width) {
  return target >= 0 && target < width ? to_float(row.data[target]) : 0.0f;
}

template <typename T, int kPacks>
__global__ void __launch_bounds__(kRowThreads, 2)
    held_kernel(T* logits, const int32_t* __restrict__ targets, float* __restrict__ losses, int width, float grad_scale,
                int64_t ahead) {
  const int64_t index = blockIdx.x;
  const CutRow<T> row(logits + index * width, width);
  uint4 packs[kPacks];
#pragma unroll
  for (int i = 0; i < kPacks; ++i) packs[i] = row.load(row.pack_index(i));
  const float single = row.load_single();
  // The row of the block that will follow this one: its loads then find it in the L2 cache.
  const int64_t line = threadIdx.x * int64_t{128 / sizeof(T)};
  if (index + ahead < gridDim.x && line < width)
    asm volatile("prefetch.global.L2 [%0];" ::"l"(logits + (index + ahead) * width + line));

  const int target = targets[index];
  if (target == -1) {
    if (threadIdx.x == 0) losses[index] = 0;
    if (grad_scale != 0) write_zeros(row);
    return;
  }
  const float picked = target_logit(row, target, width);
  ExpSum own;
  add_packs<T>(packs, own);
  add_logit(single, own);
  const ExpSum all = finish_loss(merge_block(own), target, width, picked, losses + index);
  if (grad_scale == 0) return;
  const Gradient<T> gradient(row, all, target, grad_scale);
#pragma unroll
  for (int i = 0; i < kPacks; ++i) gradient.write(row.pack_index(i), packs[i]);
  gradient.write_single(single);
}

template <typename T>
__global__ void __launch_bounds__(kRowThreads, 3)
    streamed_kernel(T* logits, const int32_t* __restrict__ targets, float* __restrict__ losses, int width,
                    float grad_scale) {
  const int64_t index = blockIdx.x;
  const CutRow<T> row(logits + index * width, width);
  const int target = targets[index];
  if (target == -1) {
    if (threadIdx.x == 0) losses[index] = 0;
    if (grad_scale != 0) write_zeros(row);
    return;
  }
  const float picked = target_logit(row, target, width);
  const ExpSum all = finish_loss(stream_sum(row), target, width, picked, losses + index);
  if (grad_scale != 0) stream_gradient(row, Gradient<T>(row, all, target, grad_scale));
}

// --- the halves

// The column of a target in a slice of the vocabulary, -1 where it has none.
__device__ int column_of(int target, int64_t first_token, int width) {
  const int64_t column = target - first_token;
  return target >= 0 && column >= 0 && column < width ? static_cast<int>(column) : -1;
}

template <typename T>
__global__ void __launch_bounds__(kRowThreads, 3)
    stats_kernel(T* logits, const int32_t* __restrict__ targets, int64_t first_token, int width,
                 float* __restrict__ stats) {
  const int64_t index = blockIdx.x;
  const CutRow<T> row(logits + index * width, width);
  const ExpSum all = stream_sum(row);
  if (threadIdx.x != 0) return;
  const int column = column_of(targets[index], first_token, width);
  float* to = stats + index * 3;
  to[0] = all.highest;
  to[1] = all.sum;
  to[2] = column < 0 ? 0.0f : to_float(row.data[column]);
}

// The [ranks, rows, 3] statistics of one row, combined in rank order.
struct RowStats {
  ExpSum all;
  float target_logit = 0;

  __device__ RowStats(const float* __restrict__ stats, int64_t ranks, int64_t rows, int64_t row) {
    const auto part = [=](int64_t rank) { return stats + (rank * rows + row) * 3; };
    for (int64_t rank = 0; rank < ranks; ++rank) all.highest = fmaxf(all.highest, part(rank)[0]);
    for (int64_t rank = 0; rank < ranks; ++rank) {
      all.sum = fmaf(part(rank)[1], exp_of(part(rank)[0] - all.highest), all.sum);
      target_logit += part(rank)[2];
    }
  }
};

// Of targets that are less than -1 (finish_loss); those beyond the vocabulary are not known here.
__device__ void spoil_bad_target(int target, ExpSum& all) {
  if (target < -1) all.sum = kNan;
}

__global__ void __launch_bounds__(kRowThreads)
    losses_kernel(const int32_t* __restrict__ targets, const float* __restrict__ stats, int64_t ranks, int64_t rows,
                  float* __restrict__ losses) {
  const int64_t row = int64_t{blockIdx.x} * kRowThreads + threadIdx.x;
  if (row >= rows) return;
  const int target = targets[row];
  RowStats totals(stats, ranks, rows, row);
  spoil_bad_target(target, totals.all);
  losses[row] = target == -1 ? 0.0f : loss_of(totals.all, totals.target_logit);
}

template <typename T>
__global__ void __launch_bounds__(kRowThreads, 3)
    gradient_kernel(T* logits, const int32_t* __restrict__ targets, int64_t first_token, int width,
                    const float* __restrict__ stats, int64_t ranks, float grad_scale) {
  const int64_t index = blockIdx.x;
  const CutRow<T> row(logits + index * width, width);
  const int target = targets[index];
  if (target == -1) return write_zeros(row);
  RowStats totals(stats, ranks, gridDim.x, index);
  spoil_bad_target(target, totals.all);
  stream_gradient(row, Gradient<T>(row, totals.all, column_of(target, first_token, width), grad_scale));
}

// --- launches

// One block per row.
int blocks_of(const Tensor& logits) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  NX_CHECK(logits.shape[0] <= kMost && logits.shape[1] < kMost / 2, "logits {}", logits.shape.str());
  return static_cast<int>(logits.shape[0]);
}

template <typename T>
void launch_whole(const Tensor& logits, const Tensor& targets, const Tensor& losses, float grad_scale, Queue& queue) {
  const int blocks = blocks_of(logits), width = static_cast<int>(logits.shape[1]);
  T* data = static_cast<T*>(logits.data);
  const auto held = [&]<int kPacks>() {
    const int64_t resident = (kPacks == kMostHeldPacks ? 2 : 4) * int64_t{queue.multiprocessors()};
    held_kernel<T, kPacks><<<blocks, kRowThreads, 0, queue.stream()>>>(data, targets.as<int32_t>(), losses.as<float>(),
                                                                       width, grad_scale, resident);
  };
  const int packs = (width / kPackSize<T> + kRowThreads - 1) / kRowThreads;
  if (packs <= 1)
    held.template operator()<1>();
  else if (packs <= 2)
    held.template operator()<2>();
  else if (packs <= 4)
    held.template operator()<4>();
  else if (packs <= kMostHeldPacks)
    held.template operator()<kMostHeldPacks>();
  else
    streamed_kernel<T><<<blocks, kRowThreads, 0, queue.stream()>>>(data, targets.as<int32_t>(), losses.as<float>(),
                                                                   width, grad_scale);
  NX_CUDA(cudaGetLastError());
}

}  // namespace

template <>
void compute(const ops::CrossEntropy& op, Device& device) {
  if (op.logits.shape[0] == 0) return;
  with_element(op.logits.dtype, [&]<typename T>() {
    launch_whole<T>(op.logits, op.targets, op.losses, static_cast<float>(op.grad_scale), device.queue);
  });
}

template <>
void compute(const ops::CrossEntropyStats& op, Device& device) {
  if (op.logits.shape[0] == 0) return;
  with_element(op.logits.dtype, [&]<typename T>() {
    stats_kernel<T><<<blocks_of(op.logits), kRowThreads, 0, device.queue.stream()>>>(
        static_cast<T*>(op.logits.data), op.targets.as<int32_t>(), op.first_token, static_cast<int>(op.logits.shape[1]),
        op.stats.as<float>());
  });
  NX_CUDA(cudaGetLastError());
}

template <>
void compute(const ops::CrossEntropyFrom& op, Device& device) {
  const int64_t rows = op.logits.shape[0], ranks = op.all_stats.shape[0];
  if (rows == 0) return;
  const int32_t* ids = op.targets.as<int32_t>();
  const int loss_blocks = static_cast<int>((rows + kRowThreads - 1) / kRowThreads);
  losses_kernel<<<loss_blocks, kRowThreads, 0, device.queue.stream()>>>(ids, op.all_stats.as<float>(), ranks, rows,
                                                                        op.losses.as<float>());
  NX_CUDA(cudaGetLastError());
  if (op.grad_scale == 0) return;
  with_element(op.logits.dtype, [&]<typename T>() {
    gradient_kernel<T><<<blocks_of(op.logits), kRowThreads, 0, device.queue.stream()>>>(
        static_cast<T*>(op.logits.data), ids, op.first_token, static_cast<int>(op.logits.shape[1]),
        op.all_stats.as<float>(), ranks, static_cast<float>(op.grad_scale));
  });
  NX_CUDA(cudaGetLastError());
}

}  // namespace nexus::cuda
