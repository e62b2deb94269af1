// A batch where a device computes.
#pragma once

#include "backend/backend.h"
#include "data/batch.h"
#include "tensor/arena.h"

namespace nexus {

Batch alloc_batch(Arena& arena, const BatchFields& fields, int64_t samples);
// Every field of `device`, from the one of that name. The host memory may be reused on return.
void copy_in(Backend& backend, const Batch& host, const Batch& device);

}  // namespace nexus
