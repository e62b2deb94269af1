#include <algorithm>
#include <cmath>

#include "cuda/device.h"
#include "cuda/device_math.cuh"
#include "cuda/quads.cuh"
#include "cuda/split_index.cuh"

namespace nexus::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kChunk = 16384;  // elements of a block of parameters that one thread block updates

// What all blocks of parameters share.
struct UpdateRule {
  float beta1, beta2, rest1, rest2, eps;  // rest = 1 - beta
};

// One block of parameters on the device. Chunks are counted through over all blocks.
struct UpdateTask {
  int64_t first_chunk;
  int64_t offset, state_offset, cols, row_stride, count;
  float correct1, correct2;   // 1 / (1 - beta^step)
  float learning_rate, keep;  // keep = 1 - learning_rate * weight_decay
  int32_t quads;              // whether four elements at a time lie in one row, and at 16 bytes
};

template <typename T>
struct UpdateBuffers {
  const float* __restrict__ grad;
  float* __restrict__ moment1;
  float* __restrict__ moment2;
  float* __restrict__ master;
  T* __restrict__ compute;  // may be null
};

// The least magnitude that is not finite once it is stored as T. bf16 rounds to infinity from half a step above its
// greatest number on.
template <typename T>
__device__ __forceinline__ float too_large() {
  return kInfinity;
}
template <>
__device__ __forceinline__ float too_large<__nv_bfloat16>() {
  return __uint_as_float(0x7F7F8000u);
}

// min(1, clip / (norm + 1e-6)) as f32; NaN where the norm is NaN.
__global__ void clip_factor(const double* grad_sum_squares, int64_t count, double clip, float* factor) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += grad_sum_squares[i];
  const double ratio = clip / (sqrt(sum) + 1e-6);
  *factor = static_cast<float>(ratio > 1.0 ? 1.0 : ratio);
}

// Every rounding is spelled out: no copy of this code may fuse other products with sums than the others do, or an
// element's bits would depend on where it lies. The CPU's kernel rounds alike. Returns whether all that will be stored
// is finite.
template <typename T>
__device__ bool update_element(const UpdateRule& rule, const UpdateTask& task, float grad, float& moment1,
                               float& moment2, float& master) {
  const float m = __fmaf_rn(rule.beta1, moment1, __fmul_rn(rule.rest1, grad));
  const float v = __fmaf_rn(rule.beta2, moment2, __fmul_rn(__fmul_rn(rule.rest2, grad), grad));
  const float deviation = __fadd_rn(__fsqrt_rn(__fmul_rn(task.correct2, v)), rule.eps);
  const float step = __fdiv_rn(__fmul_rn(task.learning_rate, __fmul_rn(task.correct1, m)), deviation);
  moment1 = m;
  moment2 = v;
  master = __fmaf_rn(task.keep, master, -step);
  return fabsf(m) < kInfinity && v < kInfinity && fabsf(master) < too_large<T>();  // false of NaN as well
}

// `at` counts from the block's first element, in gradients and state alike. Returns whether all that was written is
// finite.
template <typename T>
__device__ bool update_one(const UpdateRule& rule, const UpdateTask& task, const UpdateBuffers<T>& to, float grad_scale,
                           int64_t at) {
  const int64_t state = task.state_offset + at;
  float m = to.moment1[state], v = to.moment2[state], x = to.master[state];
  const bool finite = update_element<T>(rule, task, __fmul_rn(grad_scale, to.grad[task.offset + at]), m, v, x);
  to.moment1[state] = m;
  to.moment2[state] = v;
  to.master[state] = x;
  if (to.compute != nullptr) store(to.compute[task.offset + at], x);
  return finite;
}

template <typename T>
__device__ bool update_quad(const UpdateRule& rule, const UpdateTask& task, const UpdateBuffers<T>& to,
                            float grad_scale, int64_t at) {
  const int64_t state = task.state_offset + at;
  float g[kQuad], m[kQuad], v[kQuad], x[kQuad];
  load_quad(to.grad + task.offset + at, g);
  load_quad(to.moment1 + state, m);
  load_quad(to.moment2 + state, v);
  load_quad(to.master + state, x);
  bool finite = true;
#pragma unroll
  for (int i = 0; i < kQuad; ++i)
    finite &= update_element<T>(rule, task, __fmul_rn(grad_scale, g[i]), m[i], v[i], x[i]);
  store_quad(to.moment1 + state, m);
  store_quad(to.moment2 + state, v);
  store_quad(to.master + state, x);
  if (to.compute != nullptr) store_quad(to.compute + task.offset + at, x);
  return finite;
}

// The last block that begins at or before a chunk.
__device__ UpdateTask find_task(const UpdateTask* tasks, int count, int64_t chunk) {
  int low = 0, high = count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (tasks[middle].first_chunk <= chunk)
      low = middle;
    else
      high = middle;
  }
  return tasks[low];
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    adamw_kernel(UpdateRule rule, const UpdateTask* __restrict__ tasks, int task_count, const float* __restrict__ clip,
                 UpdateBuffers<T> to, double* __restrict__ nonfinite) {
  const UpdateTask task = find_task(tasks, task_count, blockIdx.x);
  const float grad_scale = clip != nullptr ? *clip : 1.0f;
  const int64_t begin = (blockIdx.x - task.first_chunk) * kChunk;
  const int64_t first_row = begin / task.cols, first_column = begin % task.cols;
  const auto place = [&](uint32_t step) {
    const SplitIndex in_row = split_index<kChunk>(first_column, step, task.cols);
    return (first_row + in_row.quotient) * task.row_stride + in_row.remainder;
  };
  const auto size = static_cast<uint32_t>(min(kChunk, task.count - begin));
  const uint32_t in_quads = task.quads ? size / kQuad * kQuad : 0;
  bool finite = true;
  for (uint32_t i = threadIdx.x * kQuad; i < in_quads; i += kThreads * kQuad)
    finite &= update_quad(rule, task, to, grad_scale, place(i));
#pragma unroll 4
  for (uint32_t i = in_quads + threadIdx.x; i < size; i += kThreads)
    finite &= update_one(rule, task, to, grad_scale, place(i));
  if (!finite && nonfinite != nullptr) *nonfinite = 1;  // whoever writes writes the same
}

template <typename T>
bool lies_in_quads(const UpdateBlock& block, const UpdateBuffers<T>& to) {
  const bool rows = block.rows == 1 || (block.cols % kQuad == 0 && block.row_stride % kQuad == 0);
  return rows && at_quad(to.grad + block.offset) && at_quad(to.moment1 + block.state_offset) &&
         at_quad(to.moment2 + block.state_offset) && at_quad(to.master + block.state_offset) &&
         at_quad(to.compute + (to.compute != nullptr ? block.offset : 0));
}

template <typename T>
UpdateTask task_of(const AdamW& op, const UpdateBlock& block, const UpdateBuffers<T>& to, int64_t first_chunk) {
  const auto correction = [](double beta, int64_t step) {
    return static_cast<float>(1.0 / (1.0 - std::pow(beta, static_cast<double>(step))));
  };
  return {first_chunk,
          block.offset,
          block.state_offset,
          block.cols,
          block.row_stride,
          block.rows * block.cols,
          correction(op.beta1, block.step1),
          correction(op.beta2, block.step2),
          static_cast<float>(block.learning_rate),
          static_cast<float>(1.0 - block.learning_rate * block.weight_decay),
          lies_in_quads(block, to) ? 1 : 0};
}

template <typename T>
void launch_updates(const AdamW& op, const std::vector<UpdateBlock>& blocks, const float* clip,
                    const UpdateBuffers<T>& to, double* nonfinite, Queue& queue) {
  const UpdateRule rule = {static_cast<float>(op.beta1), static_cast<float>(op.beta2),
                           static_cast<float>(1.0 - op.beta1), static_cast<float>(1.0 - op.beta2),
                           static_cast<float>(op.eps)};
  constexpr size_t kTasks = Queue::kUploadBytes / sizeof(UpdateTask);  // of one launch
  std::vector<UpdateTask> tasks;
  int64_t chunks = 0;
  const auto launch = [&] {
    if (tasks.empty()) return;
    const UpdateTask* table = queue.upload_vector(tasks);
    adamw_kernel<<<static_cast<unsigned>(chunks), kThreads, 0, queue.stream()>>>(
        rule, table, static_cast<int>(tasks.size()), clip, to, nonfinite);
    NX_CUDA(cudaGetLastError());
    tasks.clear();
    chunks = 0;
  };
  for (const UpdateBlock& block : blocks) {
    if (block.rows == 0 || block.cols == 0) continue;
    tasks.push_back(task_of(op, block, to, chunks));
    chunks += (tasks.back().count + kChunk - 1) / kChunk;
    if (tasks.size() == kTasks) launch();
  }
  launch();
}

}  // namespace

template <>
void compute(const ops::AdamWUpdate& op, Device& device) {
  const float* clip = nullptr;
  if (op.options.clip > 0) {
    float* factor = device.queue.scratch_of<float>(1);
    clip_factor<<<1, 1, 0, device.queue.stream()>>>(op.grad_sum_squares.as<double>(), op.grad_sum_squares.count(),
                                                    op.options.clip, factor);
    NX_CUDA(cudaGetLastError());
    clip = factor;
  }
  with_element(op.compute_type(), [&]<typename T>() {
    const UpdateBuffers<T> buffers = {op.grad.as<float>(), op.moment1.as<float>(), op.moment2.as<float>(),
                                      op.master.as<float>(),
                                      op.compute.defined() ? static_cast<T*>(op.compute.data) : nullptr};
    launch_updates(op.options, op.blocks, clip, buffers, op.nonfinite.defined() ? op.nonfinite.as<double>() : nullptr,
                   device.queue);
  });
}

}  // namespace nexus::cuda
