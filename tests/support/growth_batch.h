// Random tokens to prove a growth on.
#pragma once

#include "growth/grow.h"
#include "support/host_tensors.h"

namespace nexus::testing {

inline GrowthBatch growth_batch(int64_t vocab, int64_t context) {
  GrowthBatch batch;
  batch.sequences = 2;
  batch.context = context;
  batch.tokens = random_tokens("tokens", 2 * context, vocab);
  batch.targets = random_tokens("targets", 2 * context, vocab);
  return batch;
}

}  // namespace nexus::testing
