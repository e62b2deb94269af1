// Continuations as token ids to be scored.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tasks/task_items.h"
#include "workloads/text/tokenizer.h"

namespace nexus {

struct ScoreRequest {
  std::vector<int32_t> ids;  // context and continuation; a model reads all but the last
  int64_t scored = 0;        // of them, at the end, are the continuation's
};

struct EncodeOptions {
  int64_t context = 0;  // positions of the model: longer texts lose tokens on the left
  bool bos = true;      // texts begin with BOS, where the tokenizer has one, as documents do that models are trained on
};

// One space joins the two; white space at the context's end moves to the continuation; both are encoded together, and
// split at the length of the encoded context. Throws ErrorKind::kConfig where the continuation alone is too long,
// kData where nothing comes before it, or it has no token of its own; `place` is the item's.
ScoreRequest encode_request(const Tokenizer& tokenizer, const EncodeOptions& options, const ContinuationText& text,
                            const std::string& place);
// Of every choice of every item, in their order, by as many threads as compute. Throws as the first that cannot be.
std::vector<ScoreRequest> encode_requests(const Tokenizer& tokenizer, const EncodeOptions& options,
                                          std::span<const TaskItem> items);

}  // namespace nexus
