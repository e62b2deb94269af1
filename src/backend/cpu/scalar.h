// Storage and arithmetic types of CPU kernels, which are templates over the storage scalar T (float, Bf16, double).
// `Wide<T>(x)` loads and `store` stores; both are no-ops for float and double.
#pragma once

#include <cmath>

#include "tensor/dtype.h"

namespace nexus::cpu {

template <typename T>
struct WideOf {
  using type = T;
};
template <>
struct WideOf<Bf16> {
  using type = float;
};

// The type that T computes in, and the type of statistics, losses and parameter gradients beside it.
template <typename T>
using Wide = typename WideOf<T>::type;

template <typename T>
[[gnu::always_inline]] inline void store(T& to, Wide<T> value) {
  to = value;
}

// a b + c with one rounding where the machine has it, with two where it has not: never the compiler's choice, which may
// differ between the copies of a loop.
template <typename C>
[[gnu::always_inline]] inline C multiply_add(C a, C b, C c) {
#ifdef __FP_FAST_FMA
  return std::fma(a, b, c);
#else
  return a * b + c;
#endif
}

// Assigns the bits, not the struct: GCC 12 does not vectorise loops that copy structs.
[[gnu::always_inline]] inline void store(Bf16& to, float value) {
  to.bits = Bf16(value).bits;
}

}  // namespace nexus::cpu
