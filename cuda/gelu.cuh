// The scalar functions inside activation kernels: GELU in both kinds and SiLU, with their slopes.
//
// A template argument T, the storage type, chooses the accuracy: near rounding for f32; for bf16 a tenth of its
// rounding at most, at the fewest instructions, since those kernels must keep up with the memory. NaN stays NaN, and
// GELU(0) is exactly 0 (growth relies on it). An infinite argument of erf-GELU gives NaN.
#pragma once

#include <type_traits>

#include "backend/backend.h"
#include "cuda/device_math.cuh"

namespace nexus::cuda {

// The upper tail Q(|x|) = 1 - Phi(|x|) of the normal distribution and its density at x.
struct NormalTail {
  float tail, density;  // what a caller does not use costs nothing
};

// log2 Q is so smooth that one polynomial of degree 7 in |x| does: for |x| <= 9, Q is off by less than 5e-7 and by less
// than 4e-4 of itself (minimax fit of both; Q(9) is 1e-19). Beyond, the negative leading coefficient makes it decay on
// to zero. The density is off by 2e-6 of itself for |x| < 5, by the rounding of x^2 in the exponential beyond.
__device__ __forceinline__ NormalTail normal_tail_for_bf16(float x) {
  const float z = fabsf(x);
  float p = -1.2899204e-06f;
  p = fmaf(p, z, 5.0100569e-05f);
  p = fmaf(p, z, -8.4019179e-04f);
  p = fmaf(p, z, 8.1819123e-03f);
  p = fmaf(p, z, -5.3413717e-02f);
  p = fmaf(p, z, -4.5886040e-01f);
  p = fmaf(p, z, -1.1511523e+00f);
  p = fmaf(p, z, -9.9999902e-01f);
  constexpr float kMinusHalfLog2E = -0.72134752f, kLog2InverseRootTwoPi = -1.3257481f;
  return {exp2_approx(p), exp2_approx(fmaf(kMinusHalfLog2E * x, x, kLog2InverseRootTwoPi))};
}

// e^(-z^2 / 2) for z >= 0, relative error under 4e-7: what the exponent -log2(e) z^2 / 2 loses when it is rounded is
// carried in `rest`. A z above 15 counts as 15, where f32 holds 1e-49 as 0.
__device__ __forceinline__ float gauss(float z) {
  constexpr float kScale = -0.72134752f, kScaleRest = -9.6298149e-09f;  // their sum is -log2(e) / 2
  constexpr float kLn2 = 0.69314718f;
  z = fminf(z, 15.0f);
  const float square = z * z, square_rest = fmaf(z, z, -square);
  const float exponent = square * kScale;
  const float rest = fmaf(square, kScale, -exponent) + fmaf(square, kScaleRest, square_rest * kScale);
  const float power = exp2_approx(exponent);
  return fmaf(power, rest * kLn2, power);
}

// Q(z) = e^(-z^2 / 2) t P(t) with t = 1 / (1 + 0.2325 z): all of the decay is in the first two factors, so that P,
// a minimax fit for 0 <= z <= 13, leaves 8e-8 of Q in the tail, too. With all roundings: 1e-6 of Q at worst.
__device__ __forceinline__ NormalTail normal_tail_for_f32(float x) {
  const float z = fabsf(x), bell = gauss(z);
  const float t = reciprocal_approx(fmaf(0.2325f, z, 1.0f));
  float p = -0.069759138f;
  p = fmaf(p, t, 0.24182411f);
  p = fmaf(p, t, -0.19376530f);
  p = fmaf(p, t, 0.21968064f);
  p = fmaf(p, t, 0.015835960f);
  p = fmaf(p, t, 0.10252194f);
  p = fmaf(p, t, 0.090797622f);
  p = fmaf(p, t, 0.092864158f);
  constexpr float kInverseRootTwoPi = 0.39894228f;
  return {bell * (t * p), kInverseRootTwoPi * bell};
}

template <typename T>
__device__ __forceinline__ NormalTail normal_tail(float x) {
  if constexpr (std::is_same_v<T, float>)
    return normal_tail_for_f32(x);
  else
    return normal_tail_for_bf16(x);
}

// tanh-GELU is x sigmoid(2 y) with y = sqrt(2 / pi) (x + 0.044715 x^3) (Hendrycks and Gimpel 2016); the sigmoid form
// keeps its precision for negative x. Relative error under 4e-6 for |x| < 5, from the rounding of y.
constexpr float kTwiceRootTwoOverPi = 1.5957691f, kTanhCubic = 0.044715f;

__device__ __forceinline__ Sigmoid tanh_gate(float x) {
  constexpr float kLinear = kLog2E * kTwiceRootTwoOverPi, kCubic = kLinear * kTanhCubic;
  return sigmoid_base2(x * fmaf(kCubic, x * x, kLinear));
}

// erf-GELU is x Phi(x) = max(x, 0) - |x| Q(|x|), which needs no choice between the two sides.
template <GeluKind kKind, typename T>
__device__ __forceinline__ float gelu_value(float x) {
  if constexpr (kKind == GeluKind::kErf)
    return fmaf(-fabsf(x), normal_tail<T>(x).tail, fmaxf(x, 0.0f));
  else
    return x * tanh_gate(x).value;
}

// erf: Phi(x) + x phi(x), which is 1 + (|x| phi - Q) on the right and -(|x| phi - Q) on the left: neither cancels
// where the slope is small. Absolute error under 1e-6, for tanh under 2e-6.
template <GeluKind kKind, typename T>
__device__ __forceinline__ float gelu_slope(float x) {
  if constexpr (kKind == GeluKind::kErf) {
    const NormalTail normal = normal_tail<T>(x);
    const float excess = fmaf(fabsf(x), normal.density, -normal.tail);
    return x < 0.0f ? -excess : 1.0f + excess;
  } else {
    const Sigmoid gate = tanh_gate(x);
    const float inner_slope = fmaf(3.0f * kTwiceRootTwoOverPi * kTanhCubic, x * x, kTwiceRootTwoOverPi);
    return fmaf(x * gate.value * gate.complement, inner_slope, gate.value);
  }
}

struct ValueAndSlope {
  float value, slope;
};

// x sigmoid(x)
__device__ __forceinline__ ValueAndSlope silu(float x) {
  const Sigmoid gate = sigmoid(x);
  return {x * gate.value, gate.value * fmaf(x, gate.complement, 1.0f)};
}

// Calls body.template operator()<kind>().
template <typename Body>
void with_gelu(GeluKind kind, const Body& body) {
  if (kind == GeluKind::kErf)
    body.template operator()<GeluKind::kErf>();
  else
    body.template operator()<GeluKind::kTanh>();
}

}  // namespace nexus::cuda
