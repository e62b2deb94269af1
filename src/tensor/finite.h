// Whether numbers in host memory are finite.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace nexus {

// Index of the first of `count` values (f32, f64 or bf16) that is NaN or infinite; -1 if there is none.
int64_t first_nonfinite(const void* data, DType dtype, int64_t count);

}  // namespace nexus
