#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/scalar.h"
#include "backend/cpu/vector_math.h"

namespace nexus::cpu {

namespace {

// log sum exp of a row; NaN and +infinity inside give NaN.
template <typename T>
Wide<T> log_sum_exp(const T* row, int64_t width) {
  using C = Wide<T>;
  C highest = C(row[0]), sum = 0;
#pragma omp simd reduction(max : highest)
  for (int64_t j = 0; j < width; ++j) highest = C(row[j]) > highest ? C(row[j]) : highest;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < width; ++j) sum += vexp(C(row[j]) - highest);
  return highest + std::log(sum);
}

// The loss of one row; the logits become their gradient where grad_scale is not 0.
template <typename T>
Wide<T> row_loss(T* row, int64_t width, int32_t target, Wide<T> grad_scale) {
  using C = Wide<T>;
  if (target < 0) {
    if (grad_scale != C(0)) std::fill(row, row + width, T(C(0)));
    return 0;
  }
  const C total = log_sum_exp(row, width), picked = C(row[target]);
  if (grad_scale == C(0)) return total - picked;
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) store(row[j], grad_scale * vexp(C(row[j]) - total));
  store(row[target], grad_scale * (vexp(picked - total) - C(1)));
  return total - picked;
}

}  // namespace

template <typename T>
void cross_entropy(const Tensor& logits, const Tensor& targets, const Tensor& losses, float grad_scale) {
  const int64_t rows = logits.shape[0], width = logits.shape[1];
  const int32_t* ids = targets.as<int32_t>();
  for (int64_t row = 0; row < rows; ++row)
    NX_CHECK(ids[row] >= -1 && ids[row] < width, "target {} is {} of a vocabulary of {}", row, ids[row], width);
  T* data = logits.as<T>();
  Wide<T>* loss = losses.as<Wide<T>>();
  parallel_for(rows,
               [&](int64_t row) { loss[row] = row_loss(data + row * width, width, ids[row], Wide<T>(grad_scale)); });
}

template void cross_entropy<float>(const Tensor&, const Tensor&, const Tensor&, float);
template void cross_entropy<Bf16>(const Tensor&, const Tensor&, const Tensor&, float);
template void cross_entropy<double>(const Tensor&, const Tensor&, const Tensor&, float);

}  // namespace nexus::cpu
