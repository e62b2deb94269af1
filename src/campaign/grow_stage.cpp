#include "campaign/grow_stage.h"

namespace nexus {

GrowthOutcome grow_trained(ProcessGrid& grid, const Trained& from, const GrowthOptions& options, uint64_t seed,
                           const std::optional<GrowthBatch>& batch, double learning_rate, TrainState& state) {
  const ModelConfig config = grown_config(state.model, options);
  GrowthOutcome outcome;
  outcome.grown = std::make_unique<Trained>(config, from.params.backend(), from.params.compute_dtype(),
                                            from.model.table().sharding());
  outcome.params_before = from.model.table().count();
  outcome.params_after = outcome.grown->model.table().count();
  const std::vector<GrowthMove> moves = plan_growth(from.model.table(), outcome.grown->model.table(), options);
  // The generation's number names its random numbers: two growths of one tensor draw different ones.
  apply_growth(grid, moves, options, seed, static_cast<int>(state.generations.size()), from.params,
               outcome.grown->params);
  state.norm_scales = grown_norm_scales(state.norm_scales, state.model, options);
  outcome.grown->params.set_norm_scales(state.norm_scales);
  state.growth_masks = grown_masks(state.model, options);
  outcome.grown->params.set_growth_masks(state.growth_masks);
  if (batch)
    outcome.check =
        check_growth(grid, state.model, from.params, config, outcome.grown->params, moves, *batch, learning_rate);
  state.model = config;
  state.generations = grown_generations(state.generations, config, options);
  return outcome;
}

void require_sound_growth(const GrowthCheck& check, const GrowthOptions& options, const std::string& where) {
  if (options.lossless && !check.lossless())
    throw Error(
        ErrorKind::kNumeric,
        fmt::format("growth changed the function: max |delta logit| / max |logit| is {:.2e}, the limit is {:.0e}",
                    check.relative_dlogit, check.tolerance),
        where, "use a lossless grow.init, or set grow.lossless to false");
  if (!options.allow_dead && !check.alive())
    throw Error(
        ErrorKind::kNumeric,
        fmt::format("{} new blocks can never move, the first is {}", check.dead_blocks.size(), check.dead_blocks[0]),
        where,
        fmt::format("use grow.init {}, or set grow.allow_dead to true",
                    growth_policies_for(options.policy->grown_part()).front()->name()));
}

}  // namespace nexus
