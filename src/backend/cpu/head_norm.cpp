#include <algorithm>
#include <cmath>

#include "backend/cpu/device.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/scalar.h"

namespace nexus::cpu {

namespace {

// Tokens whose contributions to dweight are summed by one task; fixed, so that the sum does not depend on the threads.
constexpr int64_t kTokenChunk = 128;

// Not inlined: where the compiler makes copies of it, they may add in different orders, and an evaluation, which keeps
// nothing, would have other bits than a training pass.
template <typename T>
[[gnu::noinline]] Wide<T> inverse_deviation(const T* x, int64_t width, double eps) {
  using C = Wide<T>;
  C squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t j = 0; j < width; ++j) squares += C(x[j]) * C(x[j]);
  return C(1) / std::sqrt(squares / static_cast<C>(width) + C(eps));
}

template <typename T>
void forward(const ops::HeadNormForward& op) {
  using C = Wide<T>;
  const auto [heads, width, ld, eps] = op.options;
  const T* weight = op.weight.as<T>();
  T* kept = op.kept.defined() ? op.kept.as<T>() : nullptr;
  C* stats = op.stats.defined() ? op.stats.as<C>() : nullptr;
  parallel_for(op.x.shape[0], [&, heads = heads, width = width, ld = ld, eps = eps](int64_t token) {
    for (int64_t head = 0; head < heads; ++head) {
      T* x = op.x.as<T>() + token * ld + head * width;
      const T* gain = weight + head * width;
      const C inverse = inverse_deviation(x, width, eps);
      if (kept != nullptr) {
        std::copy(x, x + width, kept + (token * heads + head) * width);
        stats[token * heads + head] = inverse;
      }
#pragma omp simd
      for (int64_t j = 0; j < width; ++j) store(x[j], C(x[j]) * inverse * C(gain[j]));
    }
  });
}

// With n the normalised x and g = dy * weight: dx = inverse (g - n mean(g n)), dweight += dy n.
template <typename T>
void backward_head(T* dx, const T* x, const T* weight, Wide<T> inverse, Wide<T>* dweight, int64_t width) {
  using C = Wide<T>;
  C product = 0;
#pragma omp simd reduction(+ : product)
  for (int64_t j = 0; j < width; ++j) product += C(dx[j]) * C(weight[j]) * (C(x[j]) * inverse);
  const C pull = product / static_cast<C>(width);
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) {
    const C normal = C(x[j]) * inverse;
    dweight[j] += C(dx[j]) * normal;
    store(dx[j], inverse * (C(dx[j]) * C(weight[j]) - pull * normal));
  }
}

template <typename T>
void backward(const ops::HeadNormBackward& op) {
  using C = Wide<T>;
  const auto [heads, width, ld, eps] = op.options;
  const int64_t tokens = op.x.shape[0], all = heads * width, chunks = (tokens + kTokenChunk - 1) / kTokenChunk;
  C* partial = thread_scratch<C>(chunks * all);
  parallel_for(chunks, [&, heads = heads, width = width, ld = ld](int64_t chunk) {
    C* sums = partial + chunk * all;
    std::fill(sums, sums + all, C(0));
    for (int64_t token = chunk * kTokenChunk; token < std::min(tokens, (chunk + 1) * kTokenChunk); ++token)
      for (int64_t head = 0; head < heads; ++head)
        backward_head(op.dx.as<T>() + token * ld + head * width, op.x.as<T>() + token * all + head * width,
                      op.weight.as<T>() + head * width, op.stats.as<C>()[token * heads + head], sums + head * width,
                      width);
  });
  C* total = op.dweight.as<C>();
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
#pragma omp simd
    for (int64_t j = 0; j < all; ++j) total[j] += partial[chunk * all + j];
  }
}

}  // namespace

template <>
void compute(const ops::HeadNormForward& op, Device&) {
  with_scalar(op.x.dtype, [&]<typename T>() { forward<T>(op); });
}

template <>
void compute(const ops::HeadNormBackward& op, Device&) {
  with_scalar(op.x.dtype, [&]<typename T>() { backward<T>(op); });
}

}  // namespace nexus::cpu
