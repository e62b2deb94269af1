#include "campaign/stage_entry.h"

#include <algorithm>

#include "campaign/launch_changes.h"
#include "campaign/resume.h"
#include "comm/progress.h"
#include "core/log.h"
#include "core/units.h"
#include "model/workload.h"
#include "train/checkpoint_io.h"

namespace nexus {
namespace {

// Samples of real data that every growth is proved on.
constexpr int64_t kGrowthSamples = 4;

void begin_stage(const LaunchContext& context, size_t stage, Training& training) {
  TrainState& state = training.state;
  state.stage_index = static_cast<int64_t>(stage);
  state.step = 0;
  state.stages.push_back({context.spec().stages[stage].name});
  state.stage_numerics.push_back(context.input.stage_numerics[stage]);
  require_agreement(context, training);
}

GrowthBatch growth_batch(const RunData& data, const Model& model, int64_t context) {
  const int64_t samples = data.valid ? std::min(kGrowthSamples, data.valid->count()) : kGrowthSamples;
  GrowthBatch batch{context, {model.batch_fields(context), samples}};
  for (int64_t s = 0; s < samples; ++s) {
    if (data.valid)
      data.valid->fetch(s * data.valid->count() / samples, batch.data.batch(), s);
    else
      data.train.fetch(s, batch.data.batch(), s);
  }
  return batch;
}

void grow(const LaunchContext& context, size_t stage, const std::string& from_stage, Training& training) {
  const CampaignSpec& spec = context.spec();
  const GrowthOptions& options = spec.stages[stage].grow;
  TrainState& state = training.state;
  const progress::Phase phase(fmt::format("growing into stage {}", state.stage()));
  GrowthOutcome outcome = grow_trained(context.session.grid(), *training.trained, options, spec.seed,
                                       growth_batch(context.inputs.data, training.trained->model, spec.data.context),
                                       spec.stages[stage].lr.peak, state);
  training.trained = std::move(outcome.grown);
  context.session.records().growth(state, from_stage, outcome.params_before, outcome.params_after, options,
                                   *outcome.check);
  require_sound_growth(*outcome.check, options, "stage " + state.stage());
}

void load_ancestor(const LaunchContext& context, Training& training) {
  const CampaignSpec& spec = context.spec();
  TrainState& state = training.state;
  const Checkpoint checkpoint = open_verified(context.session.world(), spec.init_from);
  const TrainState ancestor = ancestor_state(spec, checkpoint);
  accept_ancestor(spec, context.launch, ancestor, state);
  training.trained = context.make_model(ancestor.model);
  load_training(checkpoint, training.trained->params);
  training.trained->params.set_norm_scales(ancestor.norm_scales);
  state.model = ancestor.model;
  state.norm_scales = ancestor.norm_scales;
  require_open_masks(ancestor, spec.init_from);
  state.generations = ancestor.generations;
  state.samples = ancestor.samples;
  state.inherited_tokens = ancestor.total_tokens();
  state.inherited_flops = ancestor.total_flops();
  log("run {} inherits {} {}, {:.3g} FLOPs | path {}", spec.name, format_count(state.inherited_tokens),
      workload(spec.model.workload).unit(), state.inherited_flops, spec.init_from);
}

}  // namespace

Training start_training(const LaunchContext& context) {
  const CampaignSpec& spec = context.spec();
  context.session.records().begin();
  Training training;
  TrainState& state = training.state;
  state.seed = spec.seed;
  state.data_digest = context.inputs.data.train.index_digest();
  state.data = context.inputs.files.identity();
  state.flops_def = spec.account.flops_def;
  if (!spec.init_from.empty()) {
    load_ancestor(context, training);
    enter_stage(context, 0, training);
    return training;
  }
  state.model = spec.model_of_stage(0);
  if (spec.stages[0].grow.grows())
    throw Error(ErrorKind::kConfig, "the first stage grows, but there is nothing to grow from", "stages.0.grow",
                "set the widths in `model`, or name a checkpoint with init_from");
  training.trained = context.make_model(state.model);
  training.trained->params.initialize(spec.seed);
  state.generations = {first_generation(state.model)};
  begin_stage(context, 0, training);
  return training;
}

void enter_stage(const LaunchContext& context, size_t stage, Training& training) {
  const std::string from = training.state.stages.empty() ? "init_from" : training.state.stage();
  if (!training.state.stages.empty()) require_open_masks(training.state, "stage " + training.state.stage());
  begin_stage(context, stage, training);
  if (context.spec().stages[stage].grow.grows()) grow(context, stage, from, training);
}

}  // namespace nexus
