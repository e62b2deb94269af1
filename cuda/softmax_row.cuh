// A row of logits under one block: the sum of its exponentials, and its gradient in place.
//
// Rows begin anywhere (a vocabulary of 50257 moves each row by one element against the next), so every row is cut by
// itself: a few elements up to the first 16-byte border, packs of 16 bytes, a few elements behind them.
#pragma once

#include "cuda/device_math.cuh"
#include "cuda/pack16.cuh"

namespace nexus::cuda {

constexpr int kRowThreads = 512, kRowWarps = kRowThreads / kWarp;
constexpr int kStreamedPacks = 4;  // loads in flight per thread where a row is not held in registers

// --- sums of exponentials

// e^x for x <= 0 by the hardware's 2^x. Relative error 2^-22 of the hardware, and 7.3e-8 |x| because x log2(e) and its
// constant are rounded: 1.4e-6 at x = -16, where the term is 1e-7 of a sum that is at least one. Below 2^-126: 0.
__device__ inline float exp_of(float x) {
  return exp2_approx(__fmul_rn(x, kLog2E));
}

// A maximum and sum(exp(x - maximum)) of some logits. NaN and +infinity among them make the sum NaN.
struct ExpSum {
  float highest = -kInfinity, sum = 0;
};

// What exponents are taken against: where there is nothing but -infinity, exp(-infinity - 0) = 0 is right.
__device__ inline float shift_of(float highest) {
  return highest == -kInfinity ? 0.0f : highest;
}

__device__ inline float highest_of(const float (&x)[4]) {
  return fmaxf(fmaxf(x[0], x[1]), fmaxf(x[2], x[3]));
}
template <typename T>
__device__ float highest_of(const uint4& pack) {
  if constexpr (sizeof(T) == 4) {
    float x[4];
    unpack(pack, x);
    return highest_of(x);
  } else {  // two at a time; NaN is passed over, as by fmaxf
    const auto pair = [](const uint32_t& word) { return *reinterpret_cast<const __nv_bfloat162*>(&word); };
    const __nv_bfloat162 two = __hmax2(__hmax2(pair(pack.x), pair(pack.y)), __hmax2(pair(pack.z), pair(pack.w)));
    return fmaxf(__low2float(two), __high2float(two));
  }
}

// The sum of exp(x - shift) over a pack, pairwise.
template <typename T>
__device__ float exp_sum(const uint4& pack, float shift) {
  constexpr int kSize = kPackSize<T>;
  float x[kSize];
  unpack(pack, x);
#pragma unroll
  for (int j = 0; j < kSize; ++j) x[j] = exp_of(x[j] - shift);
#pragma unroll
  for (int half = kSize / 2; half > 0; half /= 2) {
#pragma unroll
    for (int j = 0; j < half; ++j) x[j] += x[j + half];
  }
  return x[0];
}

// Adds packs to a running sum, which is scaled once to their common maximum.
template <typename T, int kPacks>
__device__ void add_packs(const uint4 (&packs)[kPacks], ExpSum& total) {
  float highest = total.highest;
#pragma unroll
  for (int i = 0; i < kPacks; ++i) highest = fmaxf(highest, highest_of<T>(packs[i]));
  const float shift = shift_of(highest);
  float sum = total.sum * exp_of(total.highest - shift);
#pragma unroll
  for (int i = 0; i < kPacks; ++i) sum += exp_sum<T>(packs[i], shift);
  total = {highest, sum};
}

__device__ inline void add_logit(float x, ExpSum& total) {
  const float highest = fmaxf(total.highest, x), shift = shift_of(highest);
  total = {highest, fmaf(total.sum, exp_of(total.highest - shift), exp_of(x - shift))};
}

// The sums of all lanes together, the same in every lane.
__device__ inline ExpSum merge_warp(const ExpSum& own) {
  const float highest = warp_max(own.highest);
  return {highest, warp_sum(own.sum * exp_of(own.highest - shift_of(highest)))};
}

// The sums of all threads together; at most once per block. Behind its barrier the row may be overwritten.
__device__ inline ExpSum merge_block(const ExpSum& own) {
  __shared__ float highest[kRowWarps], sums[kRowWarps];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const ExpSum merged = merge_warp(own);
  if (lane == 0) {
    highest[warp] = merged.highest;
    sums[warp] = merged.sum;
  }
  __syncthreads();
  return merge_warp(lane < kRowWarps ? ExpSum{highest[lane], sums[lane]} : ExpSum{});
}

// --- rows

// A row cut for access in packs. Thread t has the packs t, t + kRowThreads, ... and, if it is one of the first
// `singles`, one element outside the packs.
template <typename T>
struct CutRow {
  T* data;
  int head, packs, singles;

  __device__ CutRow(T* row, int width) : data(row) {
    constexpr int kSize = kPackSize<T>;
    const int past = static_cast<int>(reinterpret_cast<uintptr_t>(row) % sizeof(uint4) / sizeof(T));
    head = min((kSize - past) % kSize, width);
    packs = (width - head) / kSize;
    singles = width - packs * kSize;
  }
  // The i-th pack of this thread, counted from `first`.
  __device__ int pack_index(int i, int first = 0) const {
    return first + i * kRowThreads + static_cast<int>(threadIdx.x);
  }
  __device__ uint4& pack(int index) const { return reinterpret_cast<uint4*>(data + head)[index]; }
  // -infinity everywhere outside the row: that adds 0 to a sum.
  __device__ uint4 load(int index) const {
    constexpr uint32_t kWord = sizeof(T) == 2 ? 0xFF80FF80u : 0xFF800000u;
    return index < packs ? pack(index) : uint4{kWord, kWord, kWord, kWord};
  }
  __device__ bool has_single() const { return static_cast<int>(threadIdx.x) < singles; }
  // The column of this thread's single element: first those before the packs, then those behind.
  __device__ int single() const {
    const int thread = threadIdx.x;
    return thread < head ? thread : thread + packs * kPackSize<T>;
  }
  __device__ float load_single() const { return has_single() ? to_float(data[single()]) : -kInfinity; }
};

// What becomes of a row: grad_scale (softmax - one-hot). `column` is the target's, -1 where it is not in this slice.
template <typename T>
class Gradient {
 public:
  __device__ Gradient(const CutRow<T>& row, const ExpSum& all, int column, float grad_scale)
      : row_(row), highest_(all.highest), factor_(grad_scale / all.sum), grad_scale_(grad_scale), column_(column) {}

  // Turns pack `index`, which holds `logits`.
  __device__ void write(int index, const uint4& logits) const {
    constexpr int kSize = kPackSize<T>;
    if (index >= row_.packs) return;
    float x[kSize];
    unpack(logits, x);
#pragma unroll
    for (int j = 0; j < kSize; ++j) x[j] = softmax(x[j]);
    const int target = column_ - row_.head - index * kSize;
    if (column_ >= 0 && target >= 0 && target < kSize) {
#pragma unroll
      for (int j = 0; j < kSize; ++j) x[j] -= j == target ? grad_scale_ : 0.0f;
    }
    row_.pack(index) = pack_of(x);
  }

  __device__ void write_single(float logit) const {
    if (!row_.has_single()) return;
    const int column = row_.single();
    store(row_.data[column], softmax(logit) - (column == column_ ? grad_scale_ : 0.0f));
  }

 private:
  __device__ float softmax(float x) const {
    return factor_ * exp_of(x - highest_);
  }

  const CutRow<T>& row_;
  float highest_, factor_, grad_scale_;
  int column_;
};

template <typename T>
__device__ void write_zeros(const CutRow<T>& row) {
  for (int index = threadIdx.x; index < row.packs; index += kRowThreads) row.pack(index) = uint4{};
  if (row.has_single()) store(row.data[row.single()], 0.0f);
}

template <typename T>
__device__ ExpSum stream_sum(const CutRow<T>& row) {
  ExpSum own;
  for (int first = 0; first < row.packs; first += kStreamedPacks * kRowThreads) {
    uint4 packs[kStreamedPacks];
#pragma unroll
    for (int i = 0; i < kStreamedPacks; ++i) packs[i] = row.load(row.pack_index(i, first));
    add_packs<T>(packs, own);
  }
  add_logit(row.load_single(), own);
  return merge_block(own);
}

template <typename T>
__device__ void stream_gradient(const CutRow<T>& row, const Gradient<T>& gradient) {
  constexpr int kStep = kStreamedPacks * kRowThreads;
  gradient.write_single(row.load_single());
  for (int first = row.packs / kStep * kStep; first >= 0; first -= kStep) {
    uint4 packs[kStreamedPacks];
#pragma unroll
    for (int i = 0; i < kStreamedPacks; ++i) packs[i] = row.load(row.pack_index(i, first));
#pragma unroll
    for (int i = 0; i < kStreamedPacks; ++i) gradient.write(row.pack_index(i, first), packs[i]);
  }
}

}  // namespace nexus::cuda
