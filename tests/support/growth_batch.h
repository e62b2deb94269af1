// Random tokens to prove a growth on.
#pragma once

#include "growth/grow.h"
#include "support/text_batch.h"

namespace nexus::testing {

inline GrowthBatch growth_batch(int64_t vocab, int64_t context) {
  return {context, text_batch(vocab, 2, context)};
}

}  // namespace nexus::testing
