// Requests side by side in one pass: what several of them begin with is computed once, and nothing is padded.
//
// In the order of their ids each has its longest beginning in common with the one before, so that a batch of them is a
// tree: choices share their context, and contexts the examples that stand before them. What is less than an eighth of a
// request is not shared.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "layers/ragged.h"
#include "tasks/requests.h"

namespace nexus {

// Rows of a pass, and which of them predict what.
struct PackedRequests {
  std::vector<int32_t> tokens;   // of the rows
  RaggedLayout layout;           // its `outputs`: for each request in turn the rows that predict its scored tokens
  std::vector<int32_t> targets;  // of the outputs
};

// Numbers of `requests` that share a pass, and what it takes. Rows and outputs are rounded up, so that shapes repeat.
struct RequestBatch {
  std::vector<size_t> numbers;
  RaggedExtents extents;
};

// At most `batch_tokens` rows and as many outputs in a batch, but for rounding; one request always goes. Rows are a
// multiple of `row_step`.
std::vector<RequestBatch> make_request_batches(const std::vector<ScoreRequest>& requests, int64_t batch_tokens,
                                               int64_t row_step = 1);

// The tables of one batch, of exactly its extents.
PackedRequests pack_requests(const std::vector<ScoreRequest>& requests, const RequestBatch& batch);

}  // namespace nexus
