// How a global batch falls apart over passes and ranks.
#pragma once

#include "spec/train_options.h"

namespace nexus {

// accumulation * dp * micro sequences of `context` tokens.
struct BatchLayout {
  int64_t context = 0, micro = 0, accumulation = 0;
  int dp_rank = 0, dp_size = 1;

  int64_t samples() const { return accumulation * dp_size * micro; }
  int64_t tokens() const { return samples() * context; }
  // Global sample of sequence `row` of micro-batch `index` on this rank, from the step's first one. Which rank reads
  // which sample depends on the grid; the set of samples in a step does not.
  int64_t sample(int64_t first, int64_t index, int64_t row) const {
    return first + (index * dp_size + dp_rank) * micro + row;
  }
};

// Whether global_tokens divides into passes of `micro` sequences on each of `dp_size` ranks.
bool batch_fits(const BatchSpec& batch, int64_t context, int dp_size);
// Throws ErrorKind::kConfig, with the nearest sizes that fit, where it does not.
BatchLayout make_batch_layout(const BatchSpec& batch, int64_t context, int dp_rank, int dp_size);

}  // namespace nexus
