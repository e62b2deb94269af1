#include "backend/cpu/activations.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/scalar.h"
#include "backend/shapes.h"

namespace nexus::cpu {

namespace {

template <typename T>
Wide<T> squared_norm(const T* row, int64_t width) {
  Wide<T> sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < width; ++j) sum += Wide<T>(row[j]) * Wide<T>(row[j]);
  return sum;
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

// du: scratch of one row. c is the norm that the row was scaled to.
template <GeluKind kKind, typename T>
void backward_norm_row(const T* da, const T* h, T* dh, Wide<T>* du, int64_t width, Wide<T> scale, Wide<T> c,
                       Wide<T> eps) {
  using C = Wide<T>;
  C r = 0, sum = 0;
#pragma omp simd reduction(+ : r, sum)
  for (int64_t j = 0; j < width; ++j) {
    const C x = C(h[j]), u = scale * x;
    du[j] = C(da[j]) * gelu<kKind>(u).slope;
    r += u * du[j];
    sum += x * x;
  }
  const C norm = std::sqrt(sum);
  const C pull = norm == C(0) ? C(0) : scale * scale * (r / (c * c)) * (C(1) + eps / norm);
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) store(dh[j], scale * du[j] - pull * C(h[j]));
}

}  // namespace

template <typename T>
void norm_gelu_forward(const NormGelu& op, const Tensor& h, const Tensor& a, const Tensor& row_scale) {
  using C = Wide<T>;
  const auto [rows, groups, width] = shapes::grouped_rows(h);
  const bool normed = op.norm == NormKind::kL2;
  const T* input = h.as<T>();
  T* output = a.as<T>();
  C* scales = normed ? row_scale.as<C>() : nullptr;
  with_gelu(op.gelu, [&, groups = groups, width = width]<GeluKind kKind>() {
    parallel_for(rows * groups, [&](int64_t row) {
      C scale = 1;
      if (normed) {
        const C length = std::sqrt(squared_norm(input + row * width, width)) + C(op.eps);
        scale = length == C(0) ? C(0) : C(op.scales[static_cast<size_t>(row % groups)]) / length;
        scales[row] = scale;
      }
      forward_row<kKind>(input + row * width, output + row * width, width, scale);
    });
  });
}

template <typename T>
void norm_gelu_backward(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                        const Tensor& dh) {
  using C = Wide<T>;
  const auto [rows, groups, width] = shapes::grouped_rows(h);
  const bool normed = op.norm == NormKind::kL2;
  const T* gradient = da.as<T>();
  const T* input = h.as<T>();
  T* output = dh.as<T>();
  const C* scales = normed ? row_scale.as<C>() : nullptr;
  with_gelu(op.gelu, [&, groups = groups, width = width]<GeluKind kKind>() {
    parallel_for(rows * groups, [&](int64_t row) {
      const int64_t at = row * width;
      if (!normed) return backward_plain_row<kKind>(gradient + at, input + at, output + at, width);
      backward_norm_row<kKind>(gradient + at, input + at, output + at, thread_scratch<C>(width), width, scales[row],
                               C(op.scales[static_cast<size_t>(row % groups)]), C(op.eps));
    });
  });
}

#define NX_INSTANTIATE(T)                                                                           \
  template void norm_gelu_forward<T>(const NormGelu&, const Tensor&, const Tensor&, const Tensor&); \
  template void norm_gelu_backward<T>(const NormGelu&, const Tensor&, const Tensor&, const Tensor&, const Tensor&);
NX_INSTANTIATE(float)
NX_INSTANTIATE(Bf16)
NX_INSTANTIATE(double)
#undef NX_INSTANTIATE

}  // namespace nexus::cpu
