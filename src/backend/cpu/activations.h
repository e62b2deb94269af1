// The scalar functions inside activation kernels: GELU in both kinds and SiLU, with their slopes.
#pragma once

#include "backend/backend.h"
#include "backend/cpu/vector_math.h"

namespace nexus::cpu {

// A value and its derivative; the compiler drops the half that a loop does not use.
template <typename C>
struct ValueAndSlope {
  C value, slope;
};

// erf: x Phi(x). tanh: 0.5 x (1 + tanh y) = x sigmoid(2 y) with y = sqrt(2 / pi) (x + 0.044715 x^3) (Hendrycks and
// Gimpel 2016); the sigmoid form keeps its precision for negative x.
template <GeluKind kKind, typename C>
NX_INLINE ValueAndSlope<C> gelu(C x) {
  if constexpr (kKind == GeluKind::kErf) {
    const Normal<C> normal = normal_distribution(x);
    return {x * normal.cumulative, normal.cumulative + x * normal.density};
  } else {
    constexpr C kTwice = C(2) * std::numbers::sqrt2_v<C> * std::numbers::inv_sqrtpi_v<C>;
    constexpr C kCubic = C(0.044715);
    const C gate = sigmoid(kTwice * x * (C(1) + kCubic * x * x));
    const C inner_slope = kTwice * (C(1) + C(3) * kCubic * x * x);
    return {x * gate, gate + x * gate * (C(1) - gate) * inner_slope};
  }
}

template <typename C>
NX_INLINE ValueAndSlope<C> silu(C x) {
  const C gate = sigmoid(x);
  return {x * gate, gate * (C(1) + x * (C(1) - gate))};
}

// Calls body.template operator()<kind>().
template <typename Body>
void with_gelu(GeluKind kind, const Body& body) {
  if (kind == GeluKind::kErf)
    body.template operator()<GeluKind::kErf>();
  else
    body.template operator()<GeluKind::kTanh>();
}

}  // namespace nexus::cpu
