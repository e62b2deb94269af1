// A text model that reads a sequence piece by piece and says what may follow: a pass over the new tokens alone, which
// see the others by their cached keys and values.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "model/kv_cache.h"
#include "model/model.h"

namespace nexus {

class Generator {
 public:
  // Sequences of up to `limit` tokens. `tp`: the ranks that share the model, each of which makes the same calls. Throws
  // ErrorKind::kConfig where the device has no room for the cache or for a pass.
  Generator(Backend& backend, Communicator& tp, Model& model, ParamStore& params, int64_t limit);

  // Appends tokens, at least one and each of the vocabulary, and returns the logits [V] of what follows them, the same
  // on every rank.
  std::vector<double> read(std::span<const int32_t> ids);
  int64_t length() const { return length_; }
  void clear() { length_ = 0; }

 private:
  Buffer allocate();
  void pass(std::span<const int32_t> ids, std::vector<double>& logits);

  Backend& backend_;
  Communicator& tp_;
  Model& model_;
  ParamStore& params_;
  int64_t limit_, length_ = 0;
  std::vector<double> slices_;  // logits of each rank
  KvCache cache_;
  Arena arena_;
};

}  // namespace nexus
