#include "layers/device_batch.h"

namespace nexus {

Batch alloc_batch(Arena& arena, const BatchFields& fields, int64_t samples) {
  return {fields, samples, [&](DType dtype, const Shape& shape) { return arena.alloc(dtype, shape); }};
}

void copy_in(Backend& backend, const Batch& host, const Batch& device) {
  for (const BatchField& field : device.fields()) {
    const Tensor& to = device.at(field.name);
    const Tensor& from = host.at(field.name);
    NX_CHECK(from.dtype == to.dtype && from.shape == to.shape, "{}: {} into {}", field.name, describe(host.fields()),
             describe(device.fields()));
    backend.copy_in(to, from.data);
  }
}

}  // namespace nexus
