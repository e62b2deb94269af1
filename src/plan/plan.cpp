#include "plan/plan.h"

#include <algorithm>
#include <cmath>

#include "accounting/device_memory.h"
#include "accounting/flops.h"
#include "core/units.h"
#include "model/dry_run.h"
#include "train/memory_advice.h"

namespace nexus {
namespace {

constexpr int kMaxPlannedTp = 8;  // tensor parallelism beyond a node is not worth planning

// A growing tensor passes whole through host memory: as messages of the ranks, joined, before, after, and cut anew.
int64_t host_copies(const ParamTable& table, DType wide) {
  int64_t largest = 0;
  for (const ParamSpec& spec : table)
    for (const Axis& axis : spec.axes)
      if (axis.width != Width::kFixed) largest = std::max(largest, spec.count());
  return 5 * largest * size_of(wide);
}

// Peak of growth/grow.h: both stores, and either a tensor on its way, or the two inference copies of the comparison, or
// the training copy of the liveness check, with one sequence in flight.
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
  const int64_t logits = context * Model(after, whole).local_vocab() * size_of(checking);
  const int64_t stores =
      store(before, compute, Use::kTraining, sharding) + store(after, compute, Use::kTraining, sharding);
  const int64_t comparing = store(before, checking, Use::kInference, whole) +
                            store(after, checking, Use::kInference, whole) + pass(before, ModelUse::kLogits) +
                            pass(after, ModelUse::kLogits) + 2 * logits;
  const int64_t moving = store(after, checking, Use::kTraining, whole) + pass(after, ModelUse::kTraining) + logits;
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
  const int64_t pass = spec.data.context * spec.batch.micro * dp;
  grid.batch_fits = spec.batch.global_tokens % pass == 0;
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
    if (param.name != "embed.weight" && param.name != "head.weight") stage.non_embedding_params += param.count();
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

namespace {

std::string grids_text(const Forecast& f) {
  if (f.ranks == 1) return "";
  std::string text = fmt::format("\n{:<14}{:>6}{:>6}{:>12}{:>12}{:>14}{:>14}\n", "grid of", "dp", "tp", "train mem",
                                 "peak mem", "tp sent/step", "dp sent/step");
  for (const StageForecast& s : f.stages) {
    for (const GridForecast& g : s.grids) {
      text += fmt::format("{:<14}{:>6}{:>6}", s.name, g.dp, g.tp);
      if (g.batch_fits)
        text += fmt::format("{:>12}{:>12}{:>14}{:>14}{}\n", format_bytes(g.memory.training_bytes()),
                            format_bytes(g.memory.peak_bytes()), format_bytes(std::llround(g.tp_bytes)),
                            format_bytes(std::llround(g.dp_bytes)), &g == &s.grids[0] ? "  <- this campaign" : "");
      else
        text += "   batch.global_tokens does not divide\n";
    }
  }
  return text + "sent: bytes per rank, mean over its group, by the formulas of docs/parallelism.md\n";
}

std::string memory_text(const Forecast& f) {
  const std::string own = "memory: nexus's own buffers per rank; peak mem includes evaluation";
  if (f.device == PlannedDevice::kCpu) return own + ", a save under way and growth";
  int64_t most = 0;
  for (const StageForecast& s : f.stages) most = std::max(most, s.memory.device_bytes);
  return own +
         fmt::format(", growth, and some {} of the GPU for CUDA, its libraries and workspaces", format_bytes(most));
}

nlohmann::json grid_json(const GridForecast& g) {
  nlohmann::json document{{"dp", g.dp}, {"tp", g.tp}, {"batch_fits", g.batch_fits}};
  if (!g.batch_fits) return document;
  document["memory_bytes"] = {{"training", g.memory.training_bytes()}, {"peak", g.memory.peak_bytes()}};
  document["sent_bytes_per_rank_and_step"] = {{"tp", g.tp_bytes}, {"dp", g.dp_bytes}};
  for (const CommunicationTerm& term : g.communication)
    document["communication"].push_back(
        {{"group", name_of(term.group)}, {"name", term.name}, {"group_bytes", term.group_bytes}});
  return document;
}

}  // namespace

std::string forecast_text(const Forecast& f) {
  std::string text = fmt::format(
      "campaign {} | ranks {} (dp {} tp {}{}{}) | context {} micro {} accumulation {} "
      "global_tokens {}\n",
      f.name, f.ranks, f.dp, f.tp, f.zero ? " zero 1" : "", f.sequence ? " sequence" : "", f.context, f.micro,
      f.accumulation, f.global_tokens);
  text += fmt::format("{:<14}{:>14}{:>10}{:>9}{:>10}{:>16}{:>12}{:>12}{:>12}\n", "stage", "params", "tokens", "steps",
                      "GFLOP/tok", "FLOPs", "train mem", "peak mem", "checkpoint");
  for (const StageForecast& s : f.stages)
    text += fmt::format("{:<14}{:>14}{:>10}{:>9}{:>10.4g}{:>16.4g}{:>12}{:>12}{:>12}\n", s.name, s.params,
                        format_count(s.tokens), s.steps, s.flops_per_token / 1e9, s.flops,
                        format_bytes(s.memory.training_bytes()), format_bytes(s.memory.peak_bytes()),
                        format_bytes(s.checkpoint_bytes));
  text +=
      fmt::format("{:<14}{:>14}{:>10}{:>9}{:>10}{:>16.4g}\n", "all", "", format_count(f.tokens()), "", "", f.flops());
  text += fmt::format("FLOPs: training, definition {}; {}\n", f.flops_def, memory_text(f));
  return text + grids_text(f);
}

nlohmann::json forecast_json(const Forecast& f) {
  nlohmann::json document{{"name", f.name},
                          {"flops_def", f.flops_def},
                          {"ranks", f.ranks},
                          {"dp", f.dp},
                          {"tp", f.tp},
                          {"device", f.device == PlannedDevice::kCuda ? "cuda" : "cpu"},
                          {"zero", f.zero},
                          {"sequence", f.sequence},
                          {"context", f.context},
                          {"micro", f.micro},
                          {"accumulation", f.accumulation},
                          {"global_tokens", f.global_tokens},
                          {"tokens", f.tokens()},
                          {"flops", f.flops()},
                          {"stages", nlohmann::json::array()}};
  for (const StageForecast& s : f.stages) {
    nlohmann::json grids = nlohmann::json::array();
    for (const GridForecast& g : s.grids) grids.push_back(grid_json(g));
    document["stages"].push_back({{"name", s.name},
                                  {"model", describe(s.model)},
                                  {"params", s.params},
                                  {"non_embedding_params", s.non_embedding_params},
                                  {"flops_per_token", s.flops_per_token},
                                  {"tokens", s.tokens},
                                  {"steps", s.steps},
                                  {"flops", s.flops},
                                  {"checkpoint_bytes", s.checkpoint_bytes},
                                  {"memory_bytes",
                                   {{"params", s.memory.params_bytes},
                                    {"activations", s.memory.activations_bytes},
                                    {"evaluation", s.memory.evaluation_bytes},
                                    {"growth", s.memory.growth_bytes},
                                    {"snapshot", s.memory.snapshot_bytes},
                                    {"device", s.memory.device_bytes},
                                    {"training", s.memory.training_bytes()},
                                    {"peak", s.memory.peak_bytes()}}},
                                  {"grids", std::move(grids)}});
  }
  return document;
}

}  // namespace nexus
