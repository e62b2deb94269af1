// Validation loss over a held-out token file.
#pragma once

#include <functional>
#include <optional>

#include "comm/process_grid.h"
#include "data/sampler.h"
#include "model/model.h"
#include "records/eval_record.h"

namespace nexus {

// Non-overlapping windows of the context length, dealt to the data-parallel ranks in turn; the loss is the mean over
// tokens, its standard error that of the window means. `max_tokens` > 0 takes windows evenly spread over the file, up
// to that many tokens. The result is the same on every rank. `event` and `bits_per_byte` are the caller's.
//
// `arena` has room for evaluation_bytes (train/memory_advice.h) of `micro` windows and is left as it was found. Nothing
// is returned, on any rank, once `stop` says so on some rank; it is asked after every micro-batch.
std::optional<EvalRecord> evaluate(Backend& backend, ProcessGrid& grid, Arena& arena, Model& model, ParamStore& params,
                                   const EvalWindows& windows, int64_t micro, int64_t max_tokens,
                                   const std::function<bool()>& stop);

}  // namespace nexus
