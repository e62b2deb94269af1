#include "model/kv_cache.h"

namespace nexus {

KvCache::KvCache(Backend& backend, const ModelConfig& config, DType compute, int tp_size, int64_t slots) {
  const Shape shape{slots, 2 * config.kv() * config.head_dim() / tp_size};
  const int64_t layer_bytes = shape.count() * size_of(compute);
  memory_ = backend.allocate(config.layers * layer_bytes, "the cache of keys and values");
  for (int64_t layer = 0; layer < config.layers; ++layer)
    layers_.push_back(memory_.tensor(compute, shape, layer * layer_bytes));
}

}  // namespace nexus
