// Carries out a growth plan, and proves it on data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "comm/process_grid.h"
#include "data/batch.h"
#include "growth/growth_plan.h"
#include "model/model.h"
#include "optim/optimizer.h"

namespace nexus {

// The configuration that grows out of `config`: new widths, and the constants that the policy sets.
ModelConfig grown_config(const ModelConfig& config, const GrowthOptions& options);

// Fills `to` from `from` by the moves: weights, and moments by `options`. New random entries are a function of (seed,
// tensor name, growth number, logical index) only. Both stores lie on the same grid; collective over it, since a grown
// tensor is cut anew: what a rank gets comes from several.
void apply_growth(ProcessGrid& grid, const std::vector<GrowthMove>& moves, const GrowthOptions& options, uint64_t seed,
                  int growth_number, const ParamStore& from, ParamStore& to);

// The optimizer's generations after a growth to `config` under the moment policy.
std::vector<Generation> grown_generations(std::vector<Generation> generations, const ModelConfig& config,
                                          const GrowthOptions& options);
// The norms' scales after it: as they were, and for widths that grow, if policy or options say so, grown alike or with
// a growth to come.
NormScales grown_norm_scales(const NormScales& scales, const ModelConfig& config, const GrowthOptions& options);
// The masks that a growth of `config` begins with, closed; of a model all of whose channels are open.
GrowthMasks grown_masks(const ModelConfig& config, const GrowthOptions& options);
// Generation 0 of a fresh model.
Generation first_generation(const ModelConfig& config);

// A fixed batch of real data, whose samples have `context` positions.
struct GrowthBatch {
  int64_t context = 0;
  HostBatch data;

  int64_t samples() const { return data.batch().samples(); }
};

// The check that every growth must pass. Predictions (of text: logits) and losses are compared in f32 (f64 if the store
// computes in f64), whatever the compute type. Liveness makes two AdamW updates without weight decay at `learning_rate`
// on a copy, whatever the size of the gradients, and counts the new parameters that have not moved; a block is dead if
// none of it moved. Masks of the growth are closed in the comparison, and open in the updates: what they let through
// is m times as much. Collective: tensor-parallel ranks do their shares, data-parallel ones all do the same.
struct GrowthCheck {
  double max_abs_dlogit = 0;   // of all predictions
  double relative_dlogit = 0;  // max |delta| / max |prediction|
  double loss_before = 0, loss_after = 0;
  int64_t new_params = 0;
  int64_t dead_params = 0;     // in blocks of which nothing moved
  int64_t unmoved_params = 0;  // those, and single ones whose update was smaller than their rounding
  std::vector<std::string> dead_blocks;

  double tolerance = 0;  // on relative_dlogit: 2e-5 in f32, 1e-12 in f64
  bool lossless() const { return relative_dlogit <= tolerance; }
  bool alive() const { return dead_blocks.empty(); }
};
GrowthCheck check_growth(ProcessGrid& grid, const ModelConfig& old_config, const ParamStore& old_params,
                         const ModelConfig& new_config, const ParamStore& new_params,
                         const std::vector<GrowthMove>& moves, const GrowthBatch& batch, double learning_rate);

}  // namespace nexus
