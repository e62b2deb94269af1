// Batches of text for tests: random token ids, the same for the same sizes.
#pragma once

#include <algorithm>

#include "data/batch.h"
#include "support/host_tensors.h"

namespace nexus::testing {

inline BatchFields text_fields(int64_t context) {
  return {{"tokens", DType::kI32, {context}}, {"targets", DType::kI32, {context}}};
}

// The ids of one sample.
inline int32_t* text_row(const Batch& batch, const std::string& field, int64_t row) {
  return batch.at(field).rows(row, 1).as<int32_t>();
}

inline HostBatch text_batch(int64_t vocab, int64_t samples, int64_t context) {
  HostBatch host(text_fields(context), samples);
  for (const char* field : {"tokens", "targets"}) {
    const std::vector<int32_t> ids = random_tokens(field, samples * context, vocab);
    std::copy(ids.begin(), ids.end(), host.batch().at(field).as<int32_t>());
  }
  return host;
}

}  // namespace nexus::testing
