// The one sum over ranks: element by element, in rank order, so that its bits depend on neither algorithm nor message
// size.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace nexus {

// out[i] = parts[0][i] + parts[1][i] + ..., from left to right, in f32 (f64 for f64) with one rounding to `dtype` at
// the end; `parts` has one array of `count` elements per rank. `out` may be one of the parts. dtype: f32, f64 or bf16.
void sum_in_rank_order(DType dtype, std::span<const void* const> parts, void* out, int64_t count);

}  // namespace nexus
