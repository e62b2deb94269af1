// What every operation is made of. An operation is a plain struct of the headers beside this one: its operands and
// parameters as public members, and
//
//   void check() const;  // refuses shapes and types that do not fit: a mismatch is a bug (ErrorKind::kInternal)
//   Cost cost() const;   // what it must do, whatever device does it
//
// `Backend::run` calls both; a kernel sees operations that have been checked. cpu/device.h and cuda/device.h say how a
// kernel is found.
#pragma once

#include <cstddef>
#include <type_traits>

#include "tensor/tensor.h"

namespace nexus {

// What one call costs, known before it runs. FLOPs are counted for matrix products and attention. Bytes are those that
// must be moved if each input is read once and each output written once; scratch is not counted, what is updated in
// place counts twice.
struct Cost {
  // Of the table of `nexus bench step`: matmul, wgrad (products added to a weight gradient), attention_forward,
  // attention_backward, activation (norm + GELU and gates), norm, rope, loss, embedding, optimizer, memory (fills and
  // copies on the device), transfer (to and from the host).
  const char* family = "";
  double flops = 0, bytes = 0;
};

}  // namespace nexus

namespace nexus::ops {

// --- lists of operations, in which a back end looks its kernels up
template <typename... Ops>
struct List {
  static constexpr size_t kCount = sizeof...(Ops);

  template <typename Op>
  static constexpr size_t index_of() {
    static_assert((std::is_same_v<Op, Ops> || ...), "the operation is in no list of its header");
    size_t index = 0;
    (void)((std::is_same_v<Op, Ops> || (++index, false)) || ...);
    return index;
  }
};

template <typename... Lists>
struct Joined;
template <typename... Ops>
struct Joined<List<Ops...>> {
  using type = List<Ops...>;
};
template <typename... First, typename... Second, typename... Rest>
struct Joined<List<First...>, List<Second...>, Rest...> {
  using type = typename Joined<List<First..., Second...>, Rest...>::type;
};

// --- rules of shapes and types
void check_float(const Tensor& x);
void check_same(const Tensor& x, const Tensor& y);
void check_is(const Tensor& x, DType dtype, const Shape& shape);
// `x` has the wide type beside a compute type.
void check_wide(const Tensor& x, DType compute, const Shape& shape);
// A packed operand: shape[0] tokens; its other axes describe what the caller sees, `ld` says where tokens lie.
void check_packed(const Tensor& x, DType dtype, int64_t tokens, int64_t used_width, int64_t ld);

// --- bytes of tensors, of those that are defined
template <typename... Tensors>
double bytes_of(const Tensors&... tensors) {
  return (0.0 + ... + (tensors.defined() ? static_cast<double>(tensors.size_bytes()) : 0.0));
}

}  // namespace nexus::ops
