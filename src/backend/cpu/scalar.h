// Storage and arithmetic types of CPU kernels, which are templates over the storage scalar T (float, Bf16, double).
// `Wide<T>(x)` loads and `store` stores; both are no-ops for float and double.
#pragma once

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

// Assigns the bits, not the struct: GCC 12 does not vectorise loops that copy structs.
[[gnu::always_inline]] inline void store(Bf16& to, float value) {
  to.bits = Bf16(value).bits;
}

}  // namespace nexus::cpu
