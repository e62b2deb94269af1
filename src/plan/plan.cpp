#include "plan/plan.h"

#include <algorithm>

#include "accounting/flops.h"
#include "core/units.h"
#include "model/dry_run.h"
#include "train/step.h"

namespace nexus {
namespace {

int64_t dry_bytes(const ModelConfig& config, DType compute, int64_t batch, int64_t context, ModelUse use) {
  return dry_run(config, compute, batch, context, use).arena_bytes;
}

// Peak of growth/grow.h: both stores, and either the two inference copies of the comparison or the training copy of the
// liveness check, with one sequence in flight.
int64_t growth_bytes(const ModelConfig& before, const ModelConfig& after, DType compute, int64_t context) {
  const DType checking = wide_of(compute);
  const Model old_model(before), new_model(after);
  const ParamTable &old_table = old_model.table(), &new_table = new_model.table();
  const int64_t logits = context * after.vocab * size_of(checking);
  const int64_t stores = ParamStore::bytes_for(old_table, compute, ParamStore::Use::kTraining) +
                         ParamStore::bytes_for(new_table, compute, ParamStore::Use::kTraining);
  const int64_t comparing = ParamStore::bytes_for(old_table, checking, ParamStore::Use::kInference) +
                            ParamStore::bytes_for(new_table, checking, ParamStore::Use::kInference) +
                            dry_bytes(before, checking, 1, context, ModelUse::kLogits) +
                            dry_bytes(after, checking, 1, context, ModelUse::kLogits) + 2 * logits;
  const int64_t moving = ParamStore::bytes_for(new_table, checking, ParamStore::Use::kTraining) +
                         dry_bytes(after, checking, 1, context, ModelUse::kTraining) + logits;
  return stores + std::max(comparing, moving);
}

MemoryPlan plan_memory(const CampaignSpec& spec, const BatchLayout& layout, size_t stage, const ParamTable& table) {
  const ModelConfig config = spec.model_of_stage(stage);
  const DType compute = spec.precision.compute;
  MemoryPlan memory;
  memory.params_bytes = ParamStore::bytes_for(table, compute, ParamStore::Use::kTraining);
  memory.activations_bytes = StepRunner::arena_bytes(config, compute, layout);
  memory.evaluation_bytes = dry_bytes(config, compute, layout.micro, layout.context, ModelUse::kEvaluation);
  if (spec.stages[stage].grow.grows()) {
    ModelConfig before = stage > 0 ? spec.model_of_stage(stage - 1) : spec.model;  // stage 0 grows out of init_from
    before.validate();
    memory.growth_bytes = growth_bytes(before, config, compute, layout.context);
  }
  return memory;
}

StageForecast forecast_stage(const CampaignSpec& spec, const BatchLayout& layout, size_t index) {
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
  stage.memory = plan_memory(spec, layout, index, model.table());
  return stage;
}

}  // namespace

int64_t MemoryPlan::peak_bytes() const {
  return std::max(training_bytes() + evaluation_bytes, growth_bytes);
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

Forecast make_forecast(const CampaignSpec& spec, int ranks) {
  Forecast forecast;
  forecast.name = spec.name;
  forecast.flops_def = spec.account.flops_def;
  forecast.ranks = ranks > 0 ? ranks : std::max(spec.parallel.dp, 1) * spec.parallel.tp;
  const BatchLayout layout = make_batch_layout(spec.batch, spec.data.context, 0, forecast.ranks / spec.parallel.tp);
  forecast.context = layout.context;
  forecast.micro = layout.micro;
  forecast.accumulation = layout.accumulation;
  forecast.global_tokens = spec.batch.global_tokens;
  for (size_t i = 0; i < spec.stages.size(); ++i) forecast.stages.push_back(forecast_stage(spec, layout, i));
  return forecast;
}

std::string forecast_text(const Forecast& f) {
  std::string text = fmt::format("campaign {} | ranks {} | context {} micro {} accumulation {} global_tokens {}\n",
                                 f.name, f.ranks, f.context, f.micro, f.accumulation, f.global_tokens);
  text += fmt::format("{:<14}{:>14}{:>10}{:>9}{:>10}{:>16}{:>12}{:>12}{:>12}\n", "stage", "params", "tokens", "steps",
                      "GFLOP/tok", "FLOPs", "train mem", "peak mem", "checkpoint");
  for (const StageForecast& s : f.stages)
    text += fmt::format("{:<14}{:>14}{:>10}{:>9}{:>10.4g}{:>16.4g}{:>12}{:>12}{:>12}\n", s.name, s.params,
                        format_count(s.tokens), s.steps, s.flops_per_token / 1e9, s.flops,
                        format_bytes(s.memory.training_bytes()), format_bytes(s.memory.peak_bytes()),
                        format_bytes(s.checkpoint_bytes));
  text +=
      fmt::format("{:<14}{:>14}{:>10}{:>9}{:>10}{:>16.4g}\n", "all", "", format_count(f.tokens()), "", "", f.flops());
  text += fmt::format(
      "FLOPs: training, definition {}; memory: nexus's own buffers per rank; peak mem includes evaluation and growth\n",
      f.flops_def);
  return text;
}

nlohmann::json forecast_json(const Forecast& f) {
  nlohmann::json document{{"name", f.name},
                          {"flops_def", f.flops_def},
                          {"ranks", f.ranks},
                          {"context", f.context},
                          {"micro", f.micro},
                          {"accumulation", f.accumulation},
                          {"global_tokens", f.global_tokens},
                          {"tokens", f.tokens()},
                          {"flops", f.flops()},
                          {"stages", nlohmann::json::array()}};
  for (const StageForecast& s : f.stages)
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
                                    {"training", s.memory.training_bytes()},
                                    {"peak", s.memory.peak_bytes()}}}});
  return document;
}

}  // namespace nexus
