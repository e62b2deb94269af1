
#include <cmath>

#include "core/units.h"
#include "plan/cluster_plan.h"

namespace nexus {
namespace {

// Four digits, or a dash for what is not known.
std::string figure(const std::optional<double>& value) {
  if (!value) return "-";
  if (*value != 0 && (*value < 1e-3 || *value >= 1e7)) return fmt::format("{:.3e}", *value);
  return *value >= 1000 ? fmt::format("{:.0f}", *value) : fmt::format("{:.4g}", *value);
}

std::string count(const std::optional<int64_t>& value) {
  return value ? fmt::format("{}", *value) : "-";
}

std::string rate(const std::optional<double>& value) {
  return value ? format_count(std::llround(*value)) : "-";
}

std::string seconds(const std::optional<double>& value) {
  if (!value) return "-";
  return *value < 60 ? fmt::format("{:.3g} s", *value) : format_seconds(*value);
}

std::string share(const std::optional<double>& value) {
  return value ? fmt::format("{:.2f}%", 100 * *value) : "-";
}

std::string interval(const std::optional<IntervalForecast>& choice) {
  return seconds(choice ? std::optional(choice->seconds) : std::nullopt);
}
std::string goodput_of(const std::optional<IntervalForecast>& choice) {
  return share(choice ? choice->goodput : std::nullopt);
}

std::optional<double> sum(const ClusterPlan& plan, std::optional<double> StageOnCluster::*figure) {
  double total = 0;
  for (const StageOnCluster& stage : plan.stages) {
    if (!(stage.*figure)) return std::nullopt;
    total += *(stage.*figure);
  }
  return total;
}

std::optional<int64_t> all_starts(const ClusterPlan& plan) {
  int64_t total = 0;
  for (const StageOnCluster& stage : plan.stages) {
    if (!stage.starts) return std::nullopt;
    total += *stage.starts;
  }
  return total;
}

std::string cost_table(const ClusterPlan& plan) {
  const char* row = "{:<14}{:>10}{:>10}{:>10}{:>8}{:>10}{:>12}{:>12}{:>12}{:>12}\n";
  using Stage = StageOnCluster;
  std::string text = fmt::format(fmt::runtime(row), "stage", plan.short_unit + "/s", "hours", "wall", "starts",
                                 "failures", "GPU-hours", "node-hours", "kWh", "money");
  for (const Stage& s : plan.stages)
    text += fmt::format(fmt::runtime(row), s.name, rate(s.tokens_per_second), figure(s.training_hours),
                        figure(s.wall_hours), count(s.starts), figure(s.failures), figure(s.gpu_hours),
                        figure(s.node_hours), figure(s.kwh), figure(s.money));
  return text + fmt::format(fmt::runtime(row), "all", "", figure(sum(plan, &Stage::training_hours)),
                            figure(sum(plan, &Stage::wall_hours)), count(all_starts(plan)),
                            figure(sum(plan, &Stage::failures)), figure(sum(plan, &Stage::gpu_hours)),
                            figure(sum(plan, &Stage::node_hours)), figure(sum(plan, &Stage::kwh)),
                            figure(sum(plan, &Stage::money)));
}

std::string save_table(const ClusterPlan& plan) {
  const char* row = "{:<14}{:>12}{:>10}{:>10}{:>11}{:>9}{:>11}{:>9}{:>11}{:>9}{:>11}{:>9}\n";
  std::string text = fmt::format(fmt::runtime(row), "stage", "checkpoint", "write", "stop", "every", "goodput", "best",
                                 "goodput", "Daly", "goodput", "Young", "goodput");
  for (const StageOnCluster& s : plan.stages)
    text +=
        fmt::format(fmt::runtime(row), s.name, format_bytes(s.checkpoint_bytes), seconds(s.write_seconds),
                    seconds(s.stop_seconds), interval(s.own), goodput_of(s.own), interval(s.best), goodput_of(s.best),
                    interval(s.daly), goodput_of(s.daly), interval(s.young), goodput_of(s.young));
  return text;
}

nlohmann::json value_or_null(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

nlohmann::json interval_json(const std::optional<IntervalForecast>& choice) {
  if (!choice) return nullptr;
  return {{"seconds", choice->seconds}, {"goodput", value_or_null(choice->goodput)}};
}

nlohmann::json stage_json(const StageOnCluster& s) {
  return {{"name", s.name},
          {"tokens_per_second", value_or_null(s.tokens_per_second)},
          {"training_hours", value_or_null(s.training_hours)},
          {"wall_hours", value_or_null(s.wall_hours)},
          {"starts", s.starts ? nlohmann::json(*s.starts) : nlohmann::json()},
          {"failures", value_or_null(s.failures)},
          {"gpu_hours", value_or_null(s.gpu_hours)},
          {"node_hours", value_or_null(s.node_hours)},
          {"kwh", value_or_null(s.kwh)},
          {"money", value_or_null(s.money)},
          {"checkpoint_bytes", s.checkpoint_bytes},
          {"write_seconds", value_or_null(s.write_seconds)},
          {"stop_seconds", value_or_null(s.stop_seconds)},
          {"checkpoint_every", interval_json(s.own)},
          {"best", interval_json(s.best)},
          {"daly", interval_json(s.daly)},
          {"young", interval_json(s.young)}};
}

}  // namespace

std::string cluster_plan_text(const ClusterPlan& plan) {
  std::string text = fmt::format(
      "\ncluster {} | nodes {} of {} ranks | jobs {} | time limit {} | mean time between failures of the job {}\n",
      plan.cluster, plan.nodes, plan.ranks_per_node, plan.jobs, seconds(plan.limit_seconds),
      seconds(plan.job_mtbf_seconds));
  text += cost_table(plan) + "\n" + save_table(plan);
  text +=
      "hours: of training alone; wall: with saves, failures and restarts; GPU-hours (of ranks), energy and money: of "
      "wall, or else\nof hours; starts: what time limits cut a stage into; goodput: share of wall time that becomes "
      "committed steps\n";
  for (const std::string& what : plan.missing) text += "not known: " + what + "\n";
  return text;
}

nlohmann::json cluster_plan_json(const ClusterPlan& plan) {
  nlohmann::json document{{"name", plan.cluster},
                          {"nodes", plan.nodes},
                          {"ranks", plan.ranks},
                          {"ranks_per_node", plan.ranks_per_node},
                          {"jobs", plan.jobs},
                          {"limit_seconds", value_or_null(plan.limit_seconds)},
                          {"job_mtbf_seconds", value_or_null(plan.job_mtbf_seconds)},
                          {"stages", nlohmann::json::array()},
                          {"missing", plan.missing},
                          {"warnings", plan.warnings}};
  for (const StageOnCluster& stage : plan.stages) document["stages"].push_back(stage_json(stage));
  for (const auto& [key, member] : std::vector<std::pair<const char*, std::optional<double> StageOnCluster::*>>{
           {"training_hours", &StageOnCluster::training_hours},
           {"wall_hours", &StageOnCluster::wall_hours},
           {"failures", &StageOnCluster::failures},
           {"gpu_hours", &StageOnCluster::gpu_hours},
           {"node_hours", &StageOnCluster::node_hours},
           {"kwh", &StageOnCluster::kwh},
           {"money", &StageOnCluster::money}})
    document["all"][key] = value_or_null(sum(plan, member));
  return document;
}

}  // namespace nexus
