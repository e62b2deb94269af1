#include <cmath>

#include "backend/cpu/device.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/scalar.h"

namespace nexus::cpu {

namespace {

// Rows whose contributions to dweight are summed by one task; fixed, so that the sum does not depend on the threads.
constexpr int64_t kRowChunk = 128;

template <typename C>
struct RowStats {
  C mean, inverse;  // mean is 0 for RMS
};

template <typename T>
RowStats<Wide<T>> row_stats(const RowNorm& options, const T* x, int64_t width) {
  using C = Wide<T>;
  C sum = 0, squares = 0;
  const C count = static_cast<C>(width);
  if (options.kind == RowNormKind::kLayer) {
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < width; ++j) sum += C(x[j]);
  }
  const C mean = sum / count;
#pragma omp simd reduction(+ : squares)
  for (int64_t j = 0; j < width; ++j) squares += (C(x[j]) - mean) * (C(x[j]) - mean);
  return {mean, C(1) / std::sqrt(squares / count + C(options.eps))};
}

// dx += through one row, dweight (if any) += dy * normalised x.
template <typename T>
void backward_row(const RowNorm& options, const T* dy, const T* x, const T* weight, const RowStats<Wide<T>>& stats,
                  T* dx, Wide<T>* dweight, int64_t width) {
  using C = Wide<T>;
  const C mean = stats.mean, inverse = stats.inverse;
  C sum = 0, product = 0;
#pragma omp simd reduction(+ : sum, product)
  for (int64_t j = 0; j < width; ++j) {
    const C gradient = weight ? C(dy[j]) * C(weight[j]) : C(dy[j]);
    sum += gradient;
    product += gradient * ((C(x[j]) - mean) * inverse);
  }
  const C shift = options.kind == RowNormKind::kLayer ? sum / static_cast<C>(width) : C(0);
  const C pull = product / static_cast<C>(width);
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) {
    const C gradient = weight ? C(dy[j]) * C(weight[j]) : C(dy[j]);
    store(dx[j], C(dx[j]) + inverse * (gradient - shift - pull * ((C(x[j]) - mean) * inverse)));
  }
  if (dweight == nullptr) return;
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) dweight[j] += C(dy[j]) * ((C(x[j]) - mean) * inverse);
}

template <typename T>
void add_row(T* x, const T* delta, int64_t width) {
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) store(x[j], Wide<T>(x[j]) + Wide<T>(delta[j]));
}

template <typename T>
void normalise_row(const T* x, const T* weight, RowStats<Wide<T>> stats, T* y, int64_t width) {
  using C = Wide<T>;
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) {
    const C normal = (C(x[j]) - stats.mean) * stats.inverse;
    store(y[j], weight ? normal * C(weight[j]) : normal);
  }
}

template <typename T>
void forward(const ops::AddNormForward& op) {
  using C = Wide<T>;
  const int64_t width = op.x.shape[1];
  T* stream = op.x.as<T>();
  const T* update = op.delta.defined() ? op.delta.as<T>() : nullptr;
  const T* gain = op.weight.defined() ? op.weight.as<T>() : nullptr;
  T* output = op.y.as<T>();
  C* statistics = op.stats.as<C>();
  parallel_for(op.x.shape[0], [&](int64_t row) {
    T* in = stream + row * width;
    if (update != nullptr) add_row(in, update + row * width, width);
    const RowStats<C> found = row_stats(op.options, in, width);
    statistics[row * 2] = found.mean;
    statistics[row * 2 + 1] = found.inverse;
    normalise_row(in, gain, found, output + row * width, width);
  });
}

template <typename T>
void backward(const ops::NormBackward& op) {
  using C = Wide<T>;
  const int64_t rows = op.x.shape[0], width = op.x.shape[1];
  const T* gradient = op.dy.as<T>();
  const T* input = op.x.as<T>();
  const T* gain = op.weight.defined() ? op.weight.as<T>() : nullptr;
  const C* statistics = op.stats.as<C>();
  T* output = op.dx.as<T>();
  const int64_t chunks = (rows + kRowChunk - 1) / kRowChunk;
  C* partial = op.dweight.defined() ? thread_scratch<C>(chunks * width) : nullptr;
  parallel_for(chunks, [&](int64_t chunk) {
    C* sums = partial ? partial + chunk * width : nullptr;
    if (sums) std::fill(sums, sums + width, C(0));
    for (int64_t row = chunk * kRowChunk; row < std::min(rows, (chunk + 1) * kRowChunk); ++row) {
      const int64_t at = row * width;
      backward_row(op.options, gradient + at, input + at, gain, {statistics[row * 2], statistics[row * 2 + 1]},
                   output + at, sums, width);
    }
  });
  if (partial == nullptr) return;
  C* total = op.dweight.as<C>();
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) total[j] += partial[chunk * width + j];
  }
}

}  // namespace

template <>
void compute(const ops::AddNormForward& op, Device&) {
  with_scalar(op.x.dtype, [&]<typename T>() { forward<T>(op); });
}

template <>
void compute(const ops::NormBackward& op, Device&) {
  with_scalar(op.x.dtype, [&]<typename T>() { backward<T>(op); });
}

}  // namespace nexus::cpu
