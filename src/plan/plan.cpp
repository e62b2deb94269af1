#include "plan/plan.h"

#include <algorithm>

#include "accounting/device_memory.h"
#include "accounting/flops.h"
#include "core/units.h"
#include "model/dry_run.h"
#include "model/workload.h"
#include "train/memory_advice.h"

namespace nexus {
namespace {

constexpr int kMaxPlannedTp = 8;  // tensor parallelism beyond a node is not worth planning

// A growing tensor passes whole through host memory: as messages of the ranks, joined, before, after, and cut anew.
int64_t host_copies(const ParamTable& table, DType wide) {
  int64_t largest = 0;
  for (const ParamSpec& spec : table)
    for (const Axis& axis : spec.axes)
      if (axis.width != kFixedWidth) largest = std::max(largest, spec.count());
  return 5 * largest * size_of(wide);
}

// Peak of growth/grow.h: both stores, and either a tensor on its way, or the two inference copies of the comparison, or
// the training copy of the liveness check, with one sample in flight.
int64_t growth_bytes(const ModelConfig& before, const ModelConfig& after, DType compute, int64_t context,
                     const Sharding& sharding, PlannedDevice device) {
  const DType checking = wide_of(compute);
  Sharding whole = sharding;  // of the checking copies
  whole.zero = whole.sequence = false;
  const auto store = [](const ModelConfig& config, DType dtype, ParamStore::Use use, const Sharding& cut) {
    return ParamStore::bytes_for(Model(config, cut).table(), dtype, use);
  };
  const auto pass = [&](const ModelConfig& config, ModelUse use) {
    return dry_run(config, checking, 1, context, use, whole).arena_bytes;
  };
  using Use = ParamStore::Use;
  const int64_t predictions = Model(after, whole).predictions_per_sample(context) * size_of(checking);
  const int64_t stores =
      store(before, compute, Use::kTraining, sharding) + store(after, compute, Use::kTraining, sharding);
  const int64_t comparing = store(before, checking, Use::kInference, whole) +
                            store(after, checking, Use::kInference, whole) + pass(before, ModelUse::kPrediction) +
                            pass(after, ModelUse::kPrediction) + 2 * predictions;
  const int64_t moving = store(after, checking, Use::kTraining, whole) + pass(after, ModelUse::kTraining) + predictions;
  const int64_t copies = device == PlannedDevice::kCpu ? host_copies(Model(after).table(), wide_of(compute)) : 0;
  return stores + std::max({comparing, moving, copies});
}

int64_t owned_bytes(const ParamTable& table, DType compute) {
  int64_t count = 0;
  for (const ParamPiece& piece : owned_pieces(table)) count += piece.box.count();
  return 3 * count * size_of(wide_of(compute));
}

MemoryPlan plan_memory(const CampaignSpec& spec, const BatchLayout& layout, size_t stage, const Sharding& sharding,
                       PlannedDevice device) {
  const ModelConfig config = spec.model_of_stage(stage);
  const DType compute = spec.precision.compute;
  const Model model(config, sharding);
  MemoryPlan memory;
  memory.params_bytes = ParamStore::bytes_for(model.table(), compute, ParamStore::Use::kTraining);
  memory.activations_bytes = StepRunner::arena_bytes(config, compute, layout, sharding, spec.precision.recompute);
  if (!spec.data.valid.empty()) memory.evaluation_bytes = evaluation_bytes({config, compute, layout, sharding, {}});
  memory.snapshot_bytes = owned_bytes(model.table(), compute);
  if (device == PlannedDevice::kCuda) {
    const DeviceLoad load{compute, layout.micro, layout.context, spec.precision.deterministic};
    memory.device_bytes = device_overhead(config, load, sharding).total_bytes();
  }
  if (spec.stages[stage].grow.grows()) {
    ModelConfig before = stage > 0 ? spec.model_of_stage(stage - 1) : spec.model;  // stage 0 grows out of init_from
    before.validate();
    memory.growth_bytes = growth_bytes(before, config, compute, layout.context, sharding, device);
  }
  return memory;
}

// The last rank has the largest share of an uneven vocabulary.
Sharding sharding_of(const CampaignSpec& spec, int dp, int tp) {
  return {tp - 1, tp, 0, dp, spec.parallel.zero && dp > 1, spec.parallel.sequence && tp > 1};
}

bool can_cut(const CampaignSpec& spec, int tp) {
  try {
    spec.check_tensor_parallel(tp);
    return true;
  } catch (const Error&) {
    return false;
  }
}

GridForecast forecast_grid(const CampaignSpec& spec, size_t stage, int dp, int tp, PlannedDevice device) {
  GridForecast grid{dp, tp, true, {}, {}, 0, 0};
  grid.batch_fits = batch_fits(spec.batch, spec.data.context, dp);
  if (!grid.batch_fits) return grid;
  const Sharding sharding = sharding_of(spec, dp, tp);
  const BatchLayout layout = make_batch_layout(spec.batch, spec.data.context, 0, dp);
  grid.memory = plan_memory(spec, layout, stage, sharding, device);
  const StepShape shape{layout.micro, layout.context, layout.accumulation, spec.precision.compute,
                        spec.precision.recompute};
  grid.communication = step_communication(spec.model_of_stage(stage), shape, sharding);
  using Group = CommunicationTerm::Group;
  grid.tp_bytes = static_cast<double>(group_bytes_of(grid.communication, Group::kTp)) / tp;
  grid.dp_bytes = static_cast<double>(group_bytes_of(grid.communication, Group::kDp)) / dp;
  return grid;
}

std::vector<GridForecast> forecast_grids(const CampaignSpec& spec, size_t stage, const Forecast& forecast) {
  const int ranks = forecast.ranks, own_tp = forecast.tp;
  std::vector<GridForecast> grids = {forecast_grid(spec, stage, ranks / own_tp, own_tp, forecast.device)};
  for (int tp = 1; tp <= std::min(ranks, kMaxPlannedTp); tp *= 2)
    if (tp != own_tp && ranks % tp == 0 && can_cut(spec, tp))
      grids.push_back(forecast_grid(spec, stage, ranks / tp, tp, forecast.device));
  return grids;
}

StageForecast forecast_stage(const CampaignSpec& spec, const Forecast& forecast, size_t index) {
  StageForecast stage;
  stage.name = spec.stages[index].name;
  stage.model = spec.model_of_stage(index);
  const Model model(stage.model);
  stage.params = model.table().count();
  for (const ParamSpec& param : model.table())
    if (param.part == ModelPart::kBody) stage.non_embedding_params += param.count();
  stage.flops_per_token =
      training_flops_per_token(stage.model, spec.data.context, flops_definition(spec.account.flops_def));
  stage.steps = spec.steps_of_stage(index);
  stage.tokens = stage.steps * spec.batch.global_tokens;
  stage.flops = stage.flops_per_token * static_cast<double>(stage.tokens);
  stage.checkpoint_bytes = 3 * stage.params * size_of(wide_of(spec.precision.compute));
  stage.grids = forecast_grids(spec, index, forecast);
  stage.memory = stage.grids[0].memory;
  return stage;
}

}  // namespace

PlannedDevice planned_device(const std::string& name) {
  if (name == "cpu") return PlannedDevice::kCpu;
  if (name == "cuda") return PlannedDevice::kCuda;
  throw Error(ErrorKind::kConfig, "unknown device '" + name + "'", "--device", "use cpu or cuda");
}

int64_t MemoryPlan::peak_bytes() const {
  const int64_t running = params_bytes + std::max(activations_bytes, evaluation_bytes);
  if (device_bytes == 0) return std::max(running + snapshot_bytes, growth_bytes);
  return std::max(running, growth_bytes) + device_bytes;
}

int64_t Forecast::tokens() const {
  int64_t sum = 0;
  for (const StageForecast& stage : stages) sum += stage.tokens;
  return sum;
}

double Forecast::flops() const {
  double sum = 0;
  for (const StageForecast& stage : stages) sum += stage.flops;
  return sum;
}

Forecast make_forecast(const CampaignSpec& spec, int ranks, PlannedDevice device) {
  if (device == PlannedDevice::kCuda && spec.precision.compute == DType::kF64)
    throw Error(ErrorKind::kConfig, "GPUs compute in f32 and bf16 only, not in f64", "precision.compute",
                "use bf16 or f32, or --device cpu");
  Forecast forecast;
  forecast.device = device;
  forecast.name = spec.name;
  forecast.words = workload(spec.model.workload).words();
  forecast.flops_def = spec.account.flops_def;
  forecast.ranks = ranks > 0 ? ranks : std::max(spec.parallel.dp, 1) * spec.parallel.tp;
  forecast.tp = spec.parallel.tp;
  forecast.dp = forecast.ranks / forecast.tp;
  if (forecast.dp * forecast.tp != forecast.ranks)
    throw Error(ErrorKind::kConfig, fmt::format("{} ranks do not divide by parallel.tp = {}", ranks, forecast.tp),
                "--ranks", "use a multiple of parallel.tp");
  spec.check_tensor_parallel(forecast.tp);
  const Sharding sharding = sharding_of(spec, forecast.dp, forecast.tp);
  forecast.zero = sharding.zero;
  forecast.sequence = sharding.sequence;
  const BatchLayout layout = make_batch_layout(spec.batch, spec.data.context, 0, forecast.dp);
  forecast.context = layout.context;
  forecast.micro = layout.micro;
  forecast.accumulation = layout.accumulation;
  forecast.global_tokens = spec.batch.global_tokens;
  for (size_t i = 0; i < spec.stages.size(); ++i) forecast.stages.push_back(forecast_stage(spec, forecast, i));
  return forecast;
}

}  // namespace nexus
