#include "backend/cpu/activations.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/scalar.h"

namespace nexus::cpu {

namespace {

// A GELU without a gate is the activation of a Nexus-Rank stage without its norm.
NormGelu plain_gelu(GeluKind gelu) {
  NormGelu op;
  op.norm = NormKind::kNone;
  op.gelu = gelu;
  return op;
}

// h holds `width` gates, then `width` values.
template <typename T>
void swiglu_forward_row(const T* h, T* a, int64_t width) {
  using C = Wide<T>;
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) store(a[j], silu(C(h[j])).value * C(h[width + j]));
}

template <typename T>
void swiglu_backward_row(const T* da, const T* h, T* dh, int64_t width) {
  using C = Wide<T>;
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) {
    const ValueAndSlope<C> gate = silu(C(h[j]));
    const C up = C(h[width + j]), gradient = C(da[j]);
    store(dh[j], gradient * up * gate.slope);
    store(dh[width + j], gradient * gate.value);
  }
}

}  // namespace

template <typename T>
void gate_forward(GateKind gate, GeluKind gelu, const Tensor& h, const Tensor& a) {
  if (gate == GateKind::kGelu) return norm_gelu_forward<T>(plain_gelu(gelu), h, a, Tensor());
  const int64_t width = a.shape[1];
  const T* input = h.as<T>();
  T* output = a.as<T>();
  parallel_for(a.shape[0],
               [&](int64_t row) { swiglu_forward_row(input + row * 2 * width, output + row * width, width); });
}

template <typename T>
void gate_backward(GateKind gate, GeluKind gelu, const Tensor& da, const Tensor& h, const Tensor& dh) {
  if (gate == GateKind::kGelu) return norm_gelu_backward<T>(plain_gelu(gelu), da, h, Tensor(), dh);
  const int64_t width = da.shape[1];
  const T* gradient = da.as<T>();
  const T* input = h.as<T>();
  T* output = dh.as<T>();
  parallel_for(da.shape[0], [&](int64_t row) {
    const int64_t at = row * 2 * width;
    swiglu_backward_row(gradient + row * width, input + at, output + at, width);
  });
}

#define NX_INSTANTIATE(T)                                                          \
  template void gate_forward<T>(GateKind, GeluKind, const Tensor&, const Tensor&); \
  template void gate_backward<T>(GateKind, GeluKind, const Tensor&, const Tensor&, const Tensor&);
NX_INSTANTIATE(float)
NX_INSTANTIATE(Bf16)
NX_INSTANTIATE(double)
#undef NX_INSTANTIATE

}  // namespace nexus::cpu
