#include <algorithm>
#include <limits>

#include "backend/cpu/device.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/scalar.h"
#include "backend/cpu/vector_math.h"

namespace nexus::cpu {

namespace {

// Maximum of a row and sum(exp(x - maximum)); NaN and +infinity inside give a NaN sum.
template <typename C>
struct ExpSum {
  C highest, sum;
};

template <typename T>
ExpSum<Wide<T>> exp_sum(const T* row, int64_t width) {
  using C = Wide<T>;
  C highest = C(row[0]), sum = 0;
#pragma omp simd reduction(max : highest)
  for (int64_t j = 0; j < width; ++j) highest = C(row[j]) > highest ? C(row[j]) : highest;
  // A slice may be all -infinity where the row is not.
  const C shift = highest == -std::numeric_limits<C>::infinity() ? C(0) : highest;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < width; ++j) sum += vexp(C(row[j]) - shift);
  return {highest, sum};
}

// What the softmax of a row needs to know of all ranks.
template <typename C>
struct RowTotals {
  C log_sum_exp, target_logit;
};

// Combines [ranks, rows, 3] statistics of one row in rank order.
template <typename C>
RowTotals<C> combine(const C* stats, int64_t ranks, int64_t rows, int64_t row) {
  C highest = stats[row * 3], sum = 0, target_logit = 0;
  for (int64_t rank = 1; rank < ranks; ++rank) highest = std::max(highest, stats[(rank * rows + row) * 3]);
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const C* part = stats + (rank * rows + row) * 3;
    sum = multiply_add(part[1], vexp(part[0] - highest), sum);
    target_logit += part[2];
  }
  return {highest + std::log(sum), target_logit};
}

// The logits of a row become grad_scale (softmax - one-hot); `target` is a column, or -1 where it is not in this slice.
template <typename T>
void to_gradient(T* row, int64_t width, int64_t target, Wide<T> log_sum_exp, Wide<T> grad_scale) {
  using C = Wide<T>;
  const C picked = target < 0 ? C(0) : C(row[target]);
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) store(row[j], grad_scale * vexp(C(row[j]) - log_sum_exp));
  if (target >= 0) store(row[target], grad_scale * (vexp(picked - log_sum_exp) - C(1)));
}

// The loss of one row; the logits become their gradient where grad_scale is not 0. `totals` is called for rows that
// have a target only; `column` is the target's place in this slice, or -1.
template <typename T, typename Totals>
Wide<T> row_loss(T* row, int64_t width, int32_t target, int64_t column, Wide<T> grad_scale, const Totals& totals) {
  using C = Wide<T>;
  if (target < 0) {
    if (grad_scale != C(0)) std::fill(row, row + width, T(C(0)));
    return 0;
  }
  const RowTotals<C> total = totals();
  if (grad_scale != C(0)) to_gradient(row, width, column, total.log_sum_exp, grad_scale);
  return total.log_sum_exp - total.target_logit;
}

// The column of a target in a slice of the vocabulary, -1 where it has none.
int64_t column_of(int32_t target, int64_t first_token, int64_t width) {
  const int64_t column = target - first_token;
  return target >= 0 && column >= 0 && column < width ? column : -1;
}

// Targets are -1 or below `vocabulary`.
void check_targets(const Tensor& targets, int64_t vocabulary) {
  const int32_t* ids = targets.as<int32_t>();
  for (int64_t row = 0; row < targets.count(); ++row)
    NX_CHECK(ids[row] >= -1 && ids[row] < vocabulary, "target {} is {} of a vocabulary of {}", row, ids[row],
             vocabulary);
}

// Whoever holds a slice does not know where the vocabulary ends.
constexpr int64_t kAnyVocabulary = std::numeric_limits<int64_t>::max();

template <typename T>
void whole(const ops::CrossEntropy& op) {
  using C = Wide<T>;
  const int64_t rows = op.logits.shape[0], width = op.logits.shape[1];
  check_targets(op.targets, width);
  const int32_t* ids = op.targets.as<int32_t>();
  T* data = op.logits.as<T>();
  C* loss = op.losses.as<C>();
  parallel_for(rows, [&](int64_t row) {
    T* in = data + row * width;
    loss[row] = row_loss(in, width, ids[row], ids[row], C(op.grad_scale), [&]() -> RowTotals<C> {
      const ExpSum<C> found = exp_sum(in, width);
      return {found.highest + std::log(found.sum), C(in[ids[row]])};
    });
  });
}

template <typename T>
void statistics(const ops::CrossEntropyStats& op) {
  using C = Wide<T>;
  const int64_t rows = op.logits.shape[0], width = op.logits.shape[1];
  check_targets(op.targets, kAnyVocabulary);
  const int32_t* ids = op.targets.as<int32_t>();
  const T* data = op.logits.as<T>();
  C* output = op.stats.as<C>();
  parallel_for(rows, [&](int64_t row) {
    const T* in = data + row * width;
    const ExpSum<C> found = exp_sum(in, width);
    const int64_t column = column_of(ids[row], op.first_token, width);
    output[row * 3] = found.highest;
    output[row * 3 + 1] = found.sum;
    output[row * 3 + 2] = column < 0 ? C(0) : C(in[column]);
  });
}

template <typename T>
void from_statistics(const ops::CrossEntropyFrom& op) {
  using C = Wide<T>;
  const int64_t ranks = op.all_stats.shape[0], rows = op.logits.shape[0], width = op.logits.shape[1];
  check_targets(op.targets, kAnyVocabulary);
  const int32_t* ids = op.targets.as<int32_t>();
  const C* stats = op.all_stats.as<C>();
  T* data = op.logits.as<T>();
  C* loss = op.losses.as<C>();
  parallel_for(rows, [&](int64_t row) {
    loss[row] = row_loss(data + row * width, width, ids[row], column_of(ids[row], op.first_token, width),
                         C(op.grad_scale), [&] { return combine(stats, ranks, rows, row); });
  });
}

}  // namespace

template <>
void compute(const ops::CrossEntropy& op, Device&) {
  with_scalar(op.logits.dtype, [&]<typename T>() { whole<T>(op); });
}

template <>
void compute(const ops::CrossEntropyStats& op, Device&) {
  with_scalar(op.logits.dtype, [&]<typename T>() { statistics<T>(op); });
}

template <>
void compute(const ops::CrossEntropyFrom& op, Device&) {
  with_scalar(op.logits.dtype, [&]<typename T>() { from_statistics<T>(op); });
}

}  // namespace nexus::cpu
