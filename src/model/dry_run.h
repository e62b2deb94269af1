// What one micro-batch costs, without memory and without computing: the model's own passes on the dry back end with a
// counting arena. The figures are exact, because the same code runs.
#pragma once

#include "layers/ragged.h"
#include "layers/recompute.h"
#include "model/model_config.h"
#include "params/sharding.h"

namespace nexus {

// Model::forward_backward, evaluate, predict, softmax_statistics.
enum class ModelUse { kTraining, kEvaluation, kPrediction, kStatistics };

struct DryRun {
  int64_t arena_bytes = 0;     // peak of activations and scratch
  double matmul_flops = 0;     // 2 per multiply-add
  double attention_flops = 0;  // causal: half of the full square
  int64_t tp_group_bytes = 0;  // sent between the tensor-parallel ranks (Communicator::group_bytes)
};

// Costs of one micro-batch of `batch` samples of `context` positions, on one rank of the grid. Throws
// ErrorKind::kConfig for an impossible model.
DryRun dry_run(const ModelConfig& config, DType compute, int64_t batch, int64_t context, ModelUse use,
               const Sharding& sharding = {}, Recompute recompute = Recompute::kNone);
// The same of one pass over ragged rows: kPrediction or kStatistics. A cache does not change it. The FLOPs of attention
// are an upper bound, as extents do not say which keys the rows see.
DryRun dry_run(const ModelConfig& config, DType compute, const RaggedExtents& extents, ModelUse use,
               const Sharding& sharding = {});

}  // namespace nexus
