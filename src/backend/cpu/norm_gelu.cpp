#include "backend/cpu/activations.h"
#include "backend/cpu/device.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/scalar.h"

namespace nexus::cpu {

namespace {

template <typename T>
Wide<T> squared_norm(const T* row, int64_t width) {
  Wide<T> sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < width; ++j) sum += Wide<T>(row[j]) * Wide<T>(row[j]);
  return sum;
}

// s of a row with that sum of squares; c is the norm that rows are scaled to.
template <typename C>
C scale_of(C squares, C c, C eps) {
  const C length = std::sqrt(squares) + eps;
  return length == C(0) ? C(0) : c / length;
}

template <GeluKind kKind, typename T>
void forward_row(const T* h, T* a, int64_t width, Wide<T> scale) {
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) store(a[j], gelu<kKind>(scale * Wide<T>(h[j])).value);
}

// dh = da GELU'(h), the case without a norm.
template <GeluKind kKind, typename T>
void backward_plain_row(const T* da, const T* h, T* dh, int64_t width) {
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) store(dh[j], Wide<T>(da[j]) * gelu<kKind>(Wide<T>(h[j])).slope);
}

// The r of a row, and its du where kKeep.
template <GeluKind kKind, bool kKeep, typename T>
Wide<T> backward_sum(const T* da, const T* h, Wide<T>* du, int64_t width, Wide<T> scale) {
  using C = Wide<T>;
  C r = 0;
#pragma omp simd reduction(+ : r)
  for (int64_t j = 0; j < width; ++j) {
    const C u = scale * C(h[j]), gradient = C(da[j]) * gelu<kKind>(u).slope;
    if constexpr (kKeep) du[j] = gradient;
    r += u * gradient;
  }
  return r;
}

// The factor of h in dh = s du - pull h: s^2 (r / c^2) (1 + eps / ||h||) = s r / (c ||h||), as ||h|| + eps = c / s. The
// norm is taken from s, which knows the whole row where h is a piece of it. Where ||h|| is lost in the rounding of eps,
// pull h is lost in that of s du.
template <typename C>
C pull_of(C scale, C c, C eps, C r) {
  const C norm = scale > C(0) ? c / scale - eps : C(0);
  return norm > C(0) ? scale * (r / c) / norm : C(0);
}

// dh from the du that backward_sum kept, and from nothing.
template <typename T>
void backward_kept_row(const Wide<T>* du, const T* h, T* dh, int64_t width, Wide<T> scale, Wide<T> pull) {
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) store(dh[j], scale * du[j] - pull * Wide<T>(h[j]));
}

template <GeluKind kKind, typename T>
void backward_row(const T* da, const T* h, T* dh, int64_t width, Wide<T> scale, Wide<T> pull) {
  using C = Wide<T>;
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) {
    const C x = C(h[j]);
    store(dh[j], scale * (C(da[j]) * gelu<kKind>(scale * x).slope) - pull * x);
  }
}

// The scale c of a row and its eps, in the arithmetic type.
template <typename C>
struct RowTarget {
  C c, eps;
};
template <typename C>
RowTarget<C> row_target(const NormGelu& options, int64_t row, int64_t groups) {
  return {C(options.scales[static_cast<size_t>(row % groups)]), C(options.eps)};
}

template <typename T>
void forward(const ops::NormGeluForward& op) {
  using C = Wide<T>;
  const auto [rows, groups, width] = ops::grouped_rows(op.h);
  const bool normed = op.options.norm == NormKind::kL2;
  const T* input = op.h.as<T>();
  T* output = op.a.as<T>();
  C* scales = normed ? op.row_scale.as<C>() : nullptr;
  with_gelu(op.options.gelu, [&, groups = groups, width = width]<GeluKind kKind>() {
    parallel_for(rows * groups, [&](int64_t row) {
      C scale = 1;
      if (normed) {
        const RowTarget<C> to = row_target<C>(op.options, row, groups);
        scale = scales[row] = scale_of(squared_norm(input + row * width, width), to.c, to.eps);
      }
      forward_row<kKind>(input + row * width, output + row * width, width, scale);
    });
  });
}

template <typename T>
void backward(const ops::NormGeluBackward& op) {
  using C = Wide<T>;
  const auto [rows, groups, width] = ops::grouped_rows(op.h);
  const bool normed = op.options.norm == NormKind::kL2;
  const T* gradient = op.da.as<T>();
  const T* input = op.h.as<T>();
  T* output = op.dh.as<T>();
  const C* scales = normed ? op.row_scale.as<C>() : nullptr;
  with_gelu(op.options.gelu, [&, groups = groups, width = width]<GeluKind kKind>() {
    parallel_for(rows * groups, [&](int64_t row) {
      const int64_t at = row * width;
      if (!normed) return backward_plain_row<kKind>(gradient + at, input + at, output + at, width);
      C* du = thread_scratch<C>(width);
      const C scale = scales[row], r = backward_sum<kKind, true>(gradient + at, input + at, du, width, scale);
      const RowTarget<C> to = row_target<C>(op.options, row, groups);
      backward_kept_row(du, input + at, output + at, width, scale, pull_of(scale, to.c, to.eps, r));
    });
  });
}

template <typename T>
void sum_squares(const ops::RowSumSquares& op) {
  const auto [rows, groups, width] = ops::grouped_rows(op.h);
  const T* input = op.h.as<T>();
  Wide<T>* output = op.sums.as<Wide<T>>();
  parallel_for(rows * groups,
               [&, width = width](int64_t row) { output[row] = squared_norm(input + row * width, width); });
}

template <typename T>
void forward_from(const ops::NormGeluForwardFrom& op) {
  using C = Wide<T>;
  const auto [rows, groups, width] = ops::grouped_rows(op.h);
  const T* input = op.h.as<T>();
  T* output = op.a.as<T>();
  const C* squares = op.sums.as<C>();
  C* scales = op.row_scale.as<C>();
  with_gelu(op.options.gelu, [&, groups = groups, width = width]<GeluKind kKind>() {
    parallel_for(rows * groups, [&](int64_t row) {
      const RowTarget<C> to = row_target<C>(op.options, row, groups);
      scales[row] = scale_of(squares[row], to.c, to.eps);
      forward_row<kKind>(input + row * width, output + row * width, width, scales[row]);
    });
  });
}

template <typename T>
void backward_sums(const ops::NormGeluBackwardSums& op) {
  using C = Wide<T>;
  const auto [rows, groups, width] = ops::grouped_rows(op.h);
  const T* gradient = op.da.as<T>();
  const T* input = op.h.as<T>();
  const C* scales = op.row_scale.as<C>();
  C* output = op.sums.as<C>();
  with_gelu(op.options.gelu, [&, width = width]<GeluKind kKind>() {
    parallel_for(rows * groups, [&](int64_t row) {
      const int64_t at = row * width;
      output[row] = backward_sum<kKind, false, T>(gradient + at, input + at, nullptr, width, scales[row]);
    });
  });
}

template <typename T>
void backward_from(const ops::NormGeluBackwardFrom& op) {
  using C = Wide<T>;
  const auto [rows, groups, width] = ops::grouped_rows(op.h);
  const T* gradient = op.da.as<T>();
  const T* input = op.h.as<T>();
  T* output = op.dh.as<T>();
  const C* scales = op.row_scale.as<C>();
  const C* r = op.sums.as<C>();
  with_gelu(op.options.gelu, [&, groups = groups, width = width]<GeluKind kKind>() {
    parallel_for(rows * groups, [&](int64_t row) {
      const int64_t at = row * width;
      const RowTarget<C> to = row_target<C>(op.options, row, groups);
      backward_row<kKind>(gradient + at, input + at, output + at, width, scales[row],
                          pull_of(scales[row], to.c, to.eps, r[row]));
    });
  });
}

}  // namespace

template <>
void compute(const ops::NormGeluForward& op, Device&) {
  with_scalar(op.h.dtype, [&]<typename T>() { forward<T>(op); });
}

template <>
void compute(const ops::NormGeluBackward& op, Device&) {
  with_scalar(op.h.dtype, [&]<typename T>() { backward<T>(op); });
}

template <>
void compute(const ops::RowSumSquares& op, Device&) {
  with_scalar(op.h.dtype, [&]<typename T>() { sum_squares<T>(op); });
}

template <>
void compute(const ops::NormGeluForwardFrom& op, Device&) {
  with_scalar(op.h.dtype, [&]<typename T>() { forward_from<T>(op); });
}

template <>
void compute(const ops::NormGeluBackwardSums& op, Device&) {
  with_scalar(op.h.dtype, [&]<typename T>() { backward_sums<T>(op); });
}

template <>
void compute(const ops::NormGeluBackwardFrom& op, Device&) {
  with_scalar(op.h.dtype, [&]<typename T>() { backward_from<T>(op); });
}

}  // namespace nexus::cpu
