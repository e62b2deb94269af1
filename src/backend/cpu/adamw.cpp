#include <cmath>

#include "backend/cpu/kernels.h"
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
UpdateFactors<C> factors(const AdamW& op, const UpdateBlock& block, double grad_scale) {
  const auto correction = [](double beta, int64_t step) {
    return 1.0 / (1.0 - std::pow(beta, static_cast<double>(step)));
  };
  return {C(grad_scale),
          C(op.beta1),
          C(op.beta2),
          C(1.0 - op.beta1),
          C(1.0 - op.beta2),
          C(correction(op.beta1, block.step1)),
          C(correction(op.beta2, block.step2)),
          C(op.eps),
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

  UpdateBuffers from(int64_t at) const {
    return {grad + at, moment1 + at, moment2 + at, master + at, compute ? compute + at : nullptr};
  }
};

template <typename T>
void update_span(const UpdateFactors<Wide<T>> f, const UpdateBuffers<T> to, int64_t count) {
  using C = Wide<T>;
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const C grad = f.grad_scale * to.grad[i];
    const C m = f.beta1 * to.moment1[i] + f.rest1 * grad;
    const C v = f.beta2 * to.moment2[i] + f.rest2 * grad * grad;
    const C x = f.keep * to.master[i] - f.learning_rate * (f.correct1 * m) / (std::sqrt(f.correct2 * v) + f.eps);
    to.moment1[i] = m;
    to.moment2[i] = v;
    to.master[i] = x;
    if (to.compute) store(to.compute[i], x);
  }
}

template <typename T>
double span_sum_squares(const T* x, int64_t count) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(Wide<T>(x[i])) * static_cast<double>(Wide<T>(x[i]));
  return sum;
}

// min(1, clip / (norm + 1e-6)); NaN where the norm is NaN.
double clip_factor(const AdamW& op, double grad_sum_squares) {
  if (op.clip <= 0) return 1.0;
  const double ratio = op.clip / (std::sqrt(grad_sum_squares) + 1e-6);
  return ratio > 1.0 ? 1.0 : ratio;
}

}  // namespace

template <typename T>
double sum_squares(const Tensor& x) {
  const T* data = x.as<T>();
  const int64_t count = x.count(), chunks = (count + kElementChunk - 1) / kElementChunk;
  std::vector<double> partial(static_cast<size_t>(chunks));
  parallel_for(chunks, [&](int64_t chunk) {
    const int64_t begin = chunk * kElementChunk;
    partial[static_cast<size_t>(chunk)] = span_sum_squares(data + begin, std::min(kElementChunk, count - begin));
  });
  double total = 0;
  for (const double sum : partial) total += sum;
  return total;
}

template <typename T>
void adamw(const AdamW& op, const std::vector<UpdateBlock>& blocks, double grad_sum_squares, const Tensor& grad,
           const Tensor& moment1, const Tensor& moment2, const Tensor& master, const Tensor& compute) {
  using C = Wide<T>;
  const UpdateBuffers<T> buffers = {grad.as<C>(), moment1.as<C>(), moment2.as<C>(), master.as<C>(),
                                    compute.defined() ? compute.as<T>() : nullptr};
  const double grad_scale = clip_factor(op, grad_sum_squares);
  for (const UpdateBlock& block : blocks) {
    const UpdateFactors<C> f = factors<C>(op, block, grad_scale);
    const int64_t pieces = (block.cols + kElementChunk - 1) / kElementChunk;  // of one row
    parallel_for(block.rows * pieces, [&](int64_t task) {
      const int64_t row = block.offset + task / pieces * block.row_stride, begin = task % pieces * kElementChunk;
      update_span(f, buffers.from(row + begin), std::min(kElementChunk, block.cols - begin));
    });
  }
}

#define NX_INSTANTIATE(T)                                                                                     \
  template double sum_squares<T>(const Tensor&);                                                              \
  template void adamw<T>(const AdamW&, const std::vector<UpdateBlock>&, double, const Tensor&, const Tensor&, \
                         const Tensor&, const Tensor&, const Tensor&);
NX_INSTANTIATE(float)
NX_INSTANTIATE(Bf16)
NX_INSTANTIATE(double)
#undef NX_INSTANTIATE

}  // namespace nexus::cpu
