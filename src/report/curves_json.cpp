#include "report/curves_json.h"

#include <algorithm>
#include <cmath>

#include "report/eval_basis.h"
#include "report/tables.h"

namespace nexus {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "nexus-report-1";

// JSON has neither NaN nor infinity.
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

// How the scripts call what they draw.
Json words_json(const WorkloadWords& words) {
  Json json = to_json(words);
  json["symbol"] = words.symbol();
  json["loss_thousandths"] = words.loss_thousandths();
  return json;
}

Json score_json(const WorkloadWords& words, const std::optional<Score>& score) {
  if (!score) return nullptr;
  Json json;
  json[words.symbol()] = number(score->value);
  json[words.symbol() + "_se"] = number(score->se);
  json["loss"] = number(score->loss);
  json["loss_se"] = number(score->loss_se);
  json["other"] = score->other.empty() ? Json(nullptr) : Json(score->other);
  return json;
}

Json figure_json(const Figure& figure) {
  return {{"name", figure.name},
          {"unit", figure.unit},
          {"value", number(figure.value)},
          {"se", number(figure.se)},
          {"count", figure.count}};
}

Json side_json(const std::optional<StageFigure::Side>& side) {
  if (!side) return nullptr;
  Json json = figure_json(side->figure);
  json["other"] = side->other.empty() ? Json(nullptr) : Json(side->other);
  return json;
}

Json growth_json(const GrowthRecord& growth) {
  return {{"from_stage", growth.from_stage},
          {"params_before", growth.params_before},
          {"params_after", growth.params_after},
          {"new_params", growth.new_params},
          {"dead_new_params", growth.dead_new_params},
          {"dead_blocks", growth.dead_blocks},
          {"init", growth.init},
          {"moments", growth.moments},
          {"max_abs_dlogit", number(growth.max_abs_dlogit)},
          {"rel_dlogit", number(growth.rel_dlogit)},
          {"dloss", number(growth.dloss)}};
}

Json stage_json(const WorkloadWords& words, const StageSummary& stage) {
  Json json = {{"stage", stage.stage}, {"stage_index", stage.stage_index}, {"params", stage.params},
               {"steps", stage.steps}, {"flops_def", stage.flops_def},     {"committed", stage.committed}};
  if (stage.committed) {
    json["steps_done"] = stage.step;
    json["tokens"] = stage.tokens;
    json["flops"] = number(stage.flops);
    json["total_flops"] = number(stage.total_flops);
    json["seconds"] = number(stage.seconds);
    json["rank_seconds"] = number(stage.rank_seconds);
  }
  json["before_growth"] = score_json(words, stage.before_growth);
  json["after_growth"] = score_json(words, stage.after_growth);
  json["end"] = score_json(words, stage.end);
  for (const StageFigure& figure : stage.figures)
    json["figures"].push_back({{"first", side_json(figure.first)}, {"last", side_json(figure.last)}});
  json["growth_compares"] = stage.growth_compares;
  json["growth"] = stage.growth ? growth_json(*stage.growth) : Json(nullptr);
  return json;
}

const char* kind_name(Saving::Kind kind) {
  switch (kind) {
    case Saving::Kind::kExact: return "exact";
    case Saving::Kind::kAtLeast: return "at_least";
    case Saving::Kind::kUndetermined: break;
  }
  return "undetermined";
}

Json saving_json(const WorkloadWords& words, const Saving& saving) {
  Json json = {{"kind", kind_name(saving.kind)}, {"target_" + words.symbol(), number(words.value(saving.target_loss))}};
  if (saving.kind == Saving::Kind::kUndetermined) {
    json["reason"] = saving.reason;
    return json;
  }
  json["run_flops"] = number(saving.run.flops);
  json["baseline_flops"] = number(saving.baseline.flops);
  json["saved"] = number(saving.saved);
  json["low"] = number(saving.low);
  json["high"] = number(saving.high);
  return json;
}

Json run_json(const WorkloadWords& words, const RunSummary& run) {
  Json stages = Json::array();
  for (const StageSummary& stage : run.stages) stages.push_back(stage_json(words, stage));
  return {{"label", run.label},
          {"folder", run.folder},
          {"arch", run.arch},
          {"done", run.done},
          {"final_params", run.final_params},
          {"total_tokens", run.total_tokens},
          {"inherited_tokens", run.inherited_tokens},
          {"total_flops", number(run.total_flops)},
          {"inherited_flops", number(run.inherited_flops)},
          {"flops_def", run.flops_def},
          {"seconds", number(run.seconds)},
          {"rank_seconds", number(run.rank_seconds)},
          {"final", score_json(words, run.final_score)},
          {"saving", run.saving ? saving_json(words, *run.saving) : Json(nullptr)},
          {"incomparable", run.incomparable.empty() ? Json(nullptr) : Json(run.incomparable)},
          {"stages", stages}};
}

Json evals_json(const RunHistory& run) {
  Json rows = Json::array();
  for (const EvalRecord* row : comparable_evals(run)) {
    rows.push_back({{"stage", row->stage},
                    {"stage_index", row->stage_index},
                    {"event", row->event},
                    {"tokens", row->tokens},
                    {"flops", number(row->flops)},
                    {"loss", number(row->loss)},
                    {"loss_se", number(row->loss_se)}});
    for (const Figure& figure : row->figures) rows.back()["figures"].push_back(figure_json(figure));
  }
  return rows;
}

// Steps [first, last) of one stage as one point.
Json bucket_json(const std::vector<StepRecord>& steps, size_t first, size_t last) {
  double sum = 0, least = steps[first].loss, greatest = least;
  for (size_t i = first; i < last; ++i) {
    sum += steps[i].loss;
    least = std::min(least, steps[i].loss);
    greatest = std::max(greatest, steps[i].loss);
  }
  const StepRecord& end = steps[last - 1];
  return {{"stage_index", end.stage_index},
          {"tokens", end.tokens},
          {"flops", number(end.flops)},
          {"loss", number(sum / static_cast<double>(last - first))},
          {"loss_low", number(least)},
          {"loss_high", number(greatest)},
          {"lr", number(end.lr)}};
}

Json steps_json(const std::vector<StepRecord>& steps, int64_t max_points) {
  Json points = Json::array();
  for (size_t begin = 0; begin < steps.size();) {
    size_t end = begin;
    while (end < steps.size() && steps[end].stage_index == steps[begin].stage_index) ++end;
    const auto limit = static_cast<size_t>(max_points);
    const size_t bucket = (end - begin + limit - 1) / limit;
    for (size_t first = begin; first < end; first += bucket)
      points.push_back(bucket_json(steps, first, std::min(end, first + bucket)));
    begin = end;
  }
  return points;
}

}  // namespace

Json summary_json(const ReportData& data) {
  Json runs = Json::array();
  for (const RunSummary& run : data.runs) runs.push_back(run_json(data.words, run));
  return {{"format", kFormat},
          {"workload", words_json(data.words)},
          {"baseline", data.baseline ? Json(data.runs[*data.baseline].label) : Json(nullptr)},
          {"confidence", data.bootstrap.confidence},
          {"bootstrap_draws", data.bootstrap.draws},
          {"definitions",
           {{data.words.headline, headline_definition(data.words)},
            {"flops", flops_definition_text(data)},
            {"saving", saving_definition(data)}}},
          {"runs", runs},
          {"warnings", data.warnings}};
}

Json curves_json(const ReportData& data, int64_t max_points) {
  Json json = summary_json(data);
  for (size_t i = 0; i < data.runs.size(); ++i) {
    Json savings = Json::array();
    for (const Saving& saving : data.runs[i].saving_curve) savings.push_back(saving_json(data.words, saving));
    json["runs"][i]["saving_curve"] = savings;
    json["runs"][i]["evals"] = evals_json(data.histories[i]);
    json["runs"][i]["train"] = steps_json(data.histories[i].steps, max_points);
  }
  return json;
}

}  // namespace nexus
