// What every communicator demands of the tensors of a collective; a broken demand is a bug of the caller (NX_CHECK).
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace nexus {

void check_all_reduce(const Tensor& x);
// `whole` is x of a reduce-scatter or `all` of an all-gather: `size` parts of mine's count and type. `mine` is part
// `rank` of `whole` itself or shares no byte with it.
void check_parts(const Tensor& whole, const Tensor& mine, int rank, int size);

// Whether `mine` is part `rank` of `whole` itself.
bool is_in_place(const Tensor& whole, const Tensor& mine, int rank);

}  // namespace nexus
