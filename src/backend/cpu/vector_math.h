// exp, sigmoid and the normal distribution for kernels. The float versions are branch-free, so that loops over them
// become SIMD code under `#pragma omp simd`; the double versions, for checks, use the standard library. Infinities and
// NaN come out as from the standard library.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

namespace nexus::cpu {

#define NX_INLINE [[gnu::always_inline]] inline

// e^x. Float: relative error under 2.4e-7; 0 for x < -87 (e^x < 1.7e-38), infinity for x > 88 (e^x > 1.6e38).
NX_INLINE double vexp(double x) {
  return std::exp(x);
}

NX_INLINE float vexp(float x) {
  constexpr float kLowest = -87.0f, kHighest = 88.0f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low mantissa bits
  const float shifted = x * std::numbers::log2e_v<float> + kRound;
  const float n = shifted - kRound;
  // ln 2 in two pieces, the first exact in n * piece.
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  // e^r = 1 + r + r^2 Q(r) with Q interpolated in five Chebyshev nodes of |r| <= ln(2) / 2: error 1e-8.
  float p = 0.0013926183587875752f;
  p = p * r + 0.008363179052728214f;
  p = p * r + 0.04166655461720141f;
  p = p * r + 0.1666657698969869f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  // 2^n from the bits of n + 127; outside the limits it is garbage that the last line replaces.
  const uint32_t exponent = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRound) + 127u;
  const float result = p * std::bit_cast<float>(exponent << 23);
  const float high = x > kHighest ? std::numeric_limits<float>::infinity() : result;
  return x < kLowest ? 0.0f : high;
}

// 1 / (1 + e^-x)
template <typename C>
NX_INLINE C sigmoid(C x) {
  return C(1) / (C(1) + vexp(-x));
}

// The standard normal distribution function and density at x: erf-GELU is x * cumulative, its slope cumulative + x *
// density.
template <typename C>
struct Normal {
  C cumulative, density;
};

NX_INLINE Normal<double> normal_distribution(double x) {
  constexpr double kInverseRootTwoPi = std::numbers::inv_sqrtpi / std::numbers::sqrt2;
  return {0.5 * std::erfc(-x / std::numbers::sqrt2), kInverseRootTwoPi * std::exp(-0.5 * x * x)};
}

// Float: relative error of both under 1e-6 for |x| < 5 (beyond, the rounding of x * x grows in exp; at most 1e-5).
NX_INLINE Normal<float> normal_distribution(float x) {
  // Upper tail Q(|x|) = e^(-x^2/2) t P(t) / 2 with t = 1 / (1 + 0.44 |x| / sqrt 2). P interpolates erfcx(z) / t in
  // eight Chebyshev nodes of 0 <= z <= 10 (relative error 2e-7); all of erfcx's decay is in t, so the tail stays
  // accurate.
  const float magnitude = x < 0.0f ? -x : x;
  const float gauss = vexp(-0.5f * x * x);
  const float t = 1.0f / (1.0f + (0.44f / std::numbers::sqrt2_v<float>)*magnitude);
  float p = 0.07196584819459487f;
  p = p * t - 0.2811871622897834f;
  p = p * t + 0.3025151255492406f;
  p = p * t - 0.025753500967252804f;
  p = p * t + 0.2188519684629048f;
  p = p * t + 0.21637427271374543f;
  p = p * t + 0.2490224129036082f;
  p = p * t + 0.24821121526342463f;
  const float tail = 0.5f * gauss * t * p;
  constexpr float kInverseRootTwoPi = std::numbers::inv_sqrtpi_v<float> / std::numbers::sqrt2_v<float>;
  return {x < 0.0f ? tail : 1.0f - tail, kInverseRootTwoPi * gauss};
}

}  // namespace nexus::cpu
