// Forecasts as tables and as JSON.
#include <algorithm>
#include <cmath>

#include "core/units.h"
#include "plan/plan.h"

namespace nexus {
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
      "global_{} {}\n",
      f.name, f.ranks, f.dp, f.tp, f.zero ? " zero 1" : "", f.sequence ? " sequence" : "", f.context, f.micro,
      f.accumulation, f.words.unit, f.global_tokens);
  const std::string unit = fmt::format("{:>10}", " " + f.words.unit),
                    cost = fmt::format("{:>10}", " GFLOP/" + f.words.short_unit);
  text += fmt::format("{:<14}{:>14}{}{:>9}{}{:>16}{:>12}{:>12}{:>12}\n", "stage", "params", unit, "steps", cost,
                      "FLOPs", "train mem", "peak mem", "checkpoint");
  for (const StageForecast& s : f.stages)
    text += fmt::format("{:<14}{:>14}{:>{}}{:>9}{:>{}.4g}{:>16.4g}{:>12}{:>12}{:>12}\n", s.name, s.params,
                        format_count(s.tokens), unit.size(), s.steps, s.flops_per_token / 1e9, cost.size(), s.flops,
                        format_bytes(s.memory.training_bytes()), format_bytes(s.memory.peak_bytes()),
                        format_bytes(s.checkpoint_bytes));
  text += fmt::format("{:<14}{:>14}{:>{}}{:>9}{:>{}}{:>16.4g}\n", "all", "", format_count(f.tokens()), unit.size(), "",
                      "", cost.size(), f.flops());
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
                          {"unit", f.words.unit},
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
