// One growth of a model in training: plan, apply, prove. Shared by campaigns and `nexus grow`.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "growth/grow.h"
#include "train/train_state.h"

namespace nexus {

// A model with its parameters. The store points at the model's table, so the two move together, behind a unique_ptr.
struct Trained {
  Model model;
  ParamStore params;
  Trained(const ModelConfig& config, Backend& backend, DType compute, const Sharding& sharding = {})
      : model(config, sharding), params(backend, model.table(), compute) {}
};

struct GrowthOutcome {
  std::unique_ptr<Trained> grown;
  int64_t params_before = 0, params_after = 0;
  std::optional<GrowthCheck> check;  // absent without a batch
};

// Grows `from`, which lies on `grid`, and advances `state` (model, generations). Collective. `batch` is the data of the
// check; `learning_rate` that of its liveness test.
GrowthOutcome grow_trained(ProcessGrid& grid, const Trained& from, const GrowthOptions& options, uint64_t seed,
                           const std::optional<GrowthBatch>& batch, double learning_rate, TrainState& state);

// Throws ErrorKind::kNumeric where the check broke a promise of `options`.
void require_sound_growth(const GrowthCheck& check, const GrowthOptions& options, const std::string& where);

}  // namespace nexus
