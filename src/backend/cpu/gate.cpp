#include "backend/cpu/activations.h"
#include "backend/cpu/device.h"
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

template <typename T>
void swiglu_forward(const ops::GateForward& op) {
  const int64_t width = op.a.shape[1];
  const T* input = op.h.as<T>();
  T* output = op.a.as<T>();
  parallel_for(op.a.shape[0],
               [&](int64_t row) { swiglu_forward_row(input + row * 2 * width, output + row * width, width); });
}

template <typename T>
void swiglu_backward(const ops::GateBackward& op) {
  const int64_t width = op.da.shape[1];
  const T* gradient = op.da.as<T>();
  const T* input = op.h.as<T>();
  T* output = op.dh.as<T>();
  parallel_for(op.da.shape[0], [&](int64_t row) {
    const int64_t at = row * 2 * width;
    swiglu_backward_row(gradient + row * width, input + at, output + at, width);
  });
}

}  // namespace

template <>
void compute(const ops::GateForward& op, Device& device) {
  if (op.gate == GateKind::kGelu)
    return compute(ops::NormGeluForward{plain_gelu(op.gelu), op.h, op.a, Tensor()}, device);
  with_scalar(op.h.dtype, [&]<typename T>() { swiglu_forward<T>(op); });
}

template <>
void compute(const ops::GateBackward& op, Device& device) {
  if (op.gate == GateKind::kGelu)
    return compute(ops::NormGeluBackward{plain_gelu(op.gelu), op.da, op.h, Tensor(), op.dh}, device);
  with_scalar(op.h.dtype, [&]<typename T>() { swiglu_backward<T>(op); });
}

}  // namespace nexus::cpu
