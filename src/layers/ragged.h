// Rows of sequences of unequal lengths without padding, which may begin with tokens that others share, or that earlier
// passes have left in a cache (ops::RaggedAttentionForward). For passes without a backward half.
#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"
#include "tensor/arena.h"

namespace nexus {

struct RaggedExtents {
  int64_t rows = 0;     // of the pass
  int64_t runs = 0;     // of rows that follow one another in a sequence
  int64_t keys = 0;     // that the runs see, together
  int64_t outputs = 0;  // rows that the output layer reads
};

// The tables of a pass on the host, filled run by run.
struct RaggedLayout {
  std::vector<int32_t> positions, runs, keys, outputs;
  int64_t longest = 0, pairs = 0;
  // Of runs that are whole sequences of one length and see their own rows alone, as a batch has them; else 0.
  int64_t sequence = 0;

  // The next `rows` rows, at positions from `position` on. They see `seen`, rows of the pass or slots of its cache, of
  // which the last ones are their own.
  void add_run(int64_t rows, int64_t position, std::span<const int32_t> seen);
  RaggedExtents extents() const;
};

// The same on the device.
struct RaggedRows {
  Tensor positions;            // i32 [rows]
  int64_t position_limit = 0;  // they are below
  Tensor runs, keys;           // of ops::RaggedAttentionForward
  int64_t longest = 0, pairs = 0, sequence = 0;
  Tensor outputs;  // i32 [outputs]
  // Rotated keys and values of earlier passes, [slots, 2 * kv heads * head_dim] for each layer; this pass adds its own
  // at the slots from `first_slot` on, and sees slots. Empty: it sees its own rows.
  std::span<const Tensor> cache = {};
  int64_t first_slot = 0;
};

// Tables without contents.
RaggedRows alloc_ragged(Arena& arena, const RaggedExtents& extents, int64_t position_limit);
RaggedRows copy_in(Backend& backend, Arena& arena, const RaggedLayout& layout, int64_t position_limit);

}  // namespace nexus
