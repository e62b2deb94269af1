// Keys and values of earlier positions, for passes that go on from them (RaggedRows::cache): of every layer the rotated
// keys and the values of this rank's kv heads, [slots, 2 * kv heads * head_dim] of the compute type. Which slot has
// which position of which sequence is for the caller to know.
#pragma once

#include <span>
#include <vector>

#include "model/model_config.h"

namespace nexus {

class KvCache {
 public:
  // Throws ErrorKind::kConfig where the device has no room for it.
  KvCache(Backend& backend, const ModelConfig& config, DType compute, int tp_size, int64_t slots);

  std::span<const Tensor> layers() const { return layers_; }

 private:
  Buffer memory_;
  std::vector<Tensor> layers_;
};

}  // namespace nexus
