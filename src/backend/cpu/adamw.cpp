#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <limits>

#include "backend/cpu/device.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/scalar.h"

namespace nexus::cpu {

namespace {

// Constants of one update block, in the arithmetic type.
template <typename C>
struct UpdateFactors {
  C grad_scale, beta1, beta2, rest1, rest2;  // rest = 1 - beta
  C correct1, correct2;                      // 1 / (1 - beta^step)
  C eps, learning_rate, keep;                // keep = 1 - learning_rate * weight_decay
};

template <typename C>
UpdateFactors<C> factors(const AdamW& options, const UpdateBlock& block, double grad_scale) {
  const auto correction = [](double beta, int64_t step) {
    return 1.0 / (1.0 - std::pow(beta, static_cast<double>(step)));
  };
  return {C(grad_scale),
          C(options.beta1),
          C(options.beta2),
          C(1.0 - options.beta1),
          C(1.0 - options.beta2),
          C(correction(options.beta1, block.step1)),
          C(correction(options.beta2, block.step2)),
          C(options.eps),
          C(block.learning_rate),
          C(1.0 - block.learning_rate * block.weight_decay)};
}

template <typename T>
struct UpdateBuffers {
  const Wide<T>* grad;
  Wide<T>* moment1;
  Wide<T>* moment2;
  Wide<T>* master;
  T* compute;  // may be null

  UpdateBuffers from(int64_t at, int64_t state_at) const {
    return {grad + at, moment1 + state_at, moment2 + state_at, master + state_at, compute ? compute + at : nullptr};
  }
};

// The least magnitude that is not finite once it is stored as T. bf16 rounds to infinity from half a step above its
// greatest number on.
template <typename T>
constexpr Wide<T> kTooLarge = std::numeric_limits<Wide<T>>::infinity();
template <>
constexpr float kTooLarge<Bf16> = std::bit_cast<float>(0x7F7F8000u);

// No product is left that the compiler could fuse with a sum: the vector body of the loop, its scalar rest and its copy
// without `compute` round alike, so an element's bits do not depend on how a block is cut or where it lies. Returns
// whether all that was written is finite.
template <bool kCompute, typename T>
bool update_span(const UpdateFactors<Wide<T>> f, const UpdateBuffers<T> to, int64_t count) {
  using C = Wide<T>;
  constexpr C kInfinity = std::numeric_limits<C>::infinity();
  int bad = 0;
#pragma omp simd reduction(| : bad)
  for (int64_t i = 0; i < count; ++i) {
    const C grad = f.grad_scale * to.grad[i];
    const C m = multiply_add(f.beta1, to.moment1[i], f.rest1 * grad);
    const C v = multiply_add(f.beta2, to.moment2[i], f.rest2 * grad * grad);
    const C update = f.learning_rate * (f.correct1 * m) / (std::sqrt(f.correct2 * v) + f.eps);
    const C x = multiply_add(f.keep, to.master[i], -update);
    to.moment1[i] = m;
    to.moment2[i] = v;
    to.master[i] = x;
    if constexpr (kCompute) store(to.compute[i], x);
    bad |= !(std::abs(m) < kInfinity) | !(v < kInfinity) | !(std::abs(x) < kTooLarge<T>);  // true of NaN as well
  }
  return bad == 0;
}

// Element i is added to lane i % kLanes, and lanes in order: a plain reduction loop may run up to an aligned address
// first, and then the sum would depend on where x lies.
template <typename T>
double span_sum_squares(const T* x, int64_t count) {
  constexpr int64_t kLanes = 32;
  double lanes[kLanes] = {};
  const int64_t whole = count - count % kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
#pragma omp simd
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const double value = static_cast<double>(Wide<T>(x[i + lane]));
      lanes[lane] = multiply_add(value, value, lanes[lane]);
    }
  }
  for (int64_t i = whole; i < count; ++i) {
    const double value = static_cast<double>(Wide<T>(x[i]));
    lanes[i - whole] = multiply_add(value, value, lanes[i - whole]);
  }
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

// One chunk of one range.
struct RangeChunk {
  size_t range = 0;
  int64_t begin = 0, count = 0;
};

std::vector<RangeChunk> chunks_of(const std::vector<FlatRange>& ranges) {
  std::vector<RangeChunk> chunks;
  for (size_t i = 0; i < ranges.size(); ++i) {
    for (int64_t at = 0; at < ranges[i].count; at += kElementChunk)
      chunks.push_back({i, ranges[i].begin + at, std::min(kElementChunk, ranges[i].count - at)});
  }
  return chunks;
}

// min(1, clip / (norm + 1e-6)); NaN where the norm is NaN.
double clip_factor(double clip, const Tensor& grad_sum_squares) {
  if (clip <= 0) return 1.0;
  double sum = 0;
  for (int64_t i = 0; i < grad_sum_squares.count(); ++i) sum += grad_sum_squares.as<double>()[i];
  const double ratio = clip / (std::sqrt(sum) + 1e-6);
  return ratio > 1.0 ? 1.0 : ratio;
}

// Chunks are added up per range, then ranges: {a, b} gives the bits of {a} plus {b}.
template <typename T>
double sum_squares(const ops::SumSquares& op) {
  const T* data = op.x.as<T>();
  const std::vector<FlatRange>& ranges = op.ranges;
  const std::vector<RangeChunk> chunks = chunks_of(ranges);
  std::vector<double> partial(chunks.size()), sums(ranges.size());
  parallel_for(static_cast<int64_t>(chunks.size()), [&](int64_t i) {
    const RangeChunk& chunk = chunks[static_cast<size_t>(i)];
    partial[static_cast<size_t>(i)] = span_sum_squares(data + chunk.begin, chunk.count);
  });
  for (size_t i = 0; i < chunks.size(); ++i) sums[chunks[i].range] += partial[i];
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

template <typename T>
void update(const ops::AdamWUpdate& op) {
  using C = Wide<T>;
  const UpdateBuffers<T> buffers = {op.grad.as<C>(), op.moment1.as<C>(), op.moment2.as<C>(), op.master.as<C>(),
                                    op.compute.defined() ? op.compute.as<T>() : nullptr};
  const double grad_scale = clip_factor(op.options.clip, op.grad_sum_squares);
  std::atomic<bool> all_finite{true};
  for (const UpdateBlock& block : op.blocks) {
    const UpdateFactors<C> f = factors<C>(op.options, block, grad_scale);
    const int64_t pieces = (block.cols + kElementChunk - 1) / kElementChunk;  // of one row
    parallel_for(block.rows * pieces, [&](int64_t task) {
      const int64_t begin = task % pieces * kElementChunk, at = task / pieces * block.row_stride + begin;
      const UpdateBuffers<T> to = buffers.from(block.offset + at, block.state_offset + at);
      const int64_t count = std::min(kElementChunk, block.cols - begin);
      const bool finite = to.compute ? update_span<true>(f, to, count) : update_span<false>(f, to, count);
      if (!finite) all_finite.store(false, std::memory_order_relaxed);
    });
  }
  if (op.nonfinite.defined() && !all_finite) *op.nonfinite.as<double>() = 1;
}

}  // namespace

template <>
void compute(const ops::SumSquares& op, Device&) {
  with_scalar(op.x.dtype, [&]<typename T>() { *op.out.as<double>() = sum_squares<T>(op); });
}

template <>
void compute(const ops::AdamWUpdate& op, Device&) {
  with_scalar(op.compute_type(), [&]<typename T>() { update<T>(op); });
}

}  // namespace nexus::cpu
