#include "spec/rules.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/run_folder.h"
#include "core/units.h"
#include "model/architecture.h"
#include "model/model.h"
#include "model/workload.h"
#include "spec/batch_layout.h"

namespace nexus {
namespace {

[[noreturn]] void fail(const std::string& key, const std::string& what, const std::string& todo) {
  throw Error(ErrorKind::kConfig, what, key, todo);
}

class Rules {
 public:
  explicit Rules(CampaignSpec& spec) : spec_(spec) {}

  std::vector<Advice> check() {
    check_names(spec_);
    check_model(spec_.model, "model");
    check_rate_scales();
    spec_.check_sequence_cut(spec_.parallel.tp);
    make_batch_layout(spec_.batch, spec_.data.context, 0, std::max(spec_.parallel.dp, 1));
    ModelConfig model = spec_.model;
    for (size_t i = 0; i < spec_.stages.size(); ++i) {
      check_growth(i, model);
      check_learning_rate(i);
    }
    if (spec_.data.train.empty())
      advice_.push_back({"data.train", "data.train is empty: this campaign can be planned, but not trained"});
    check_tasks();
    check_budget();
    return std::move(advice_);
  }

 private:
  void check_tasks() const {
    const EvalSpec& eval = spec_.eval;
    if (eval.tasks.empty()) {
      if (eval.tasks_every.unit != Period::Unit::kNever)
        fail("eval.tasks_every", "there are no tasks", "add eval.tasks: [hellaswag, ...], or remove it");
      return;
    }
    if (spec_.model.workload != "text") fail("eval.tasks", "only models of text answer questions", "remove eval.tasks");
    const auto require = [](const char* key, const std::string& value) {
      if (value.empty()) fail(key, fmt::format("eval.tasks needs {}", key), "add it, or remove eval.tasks");
    };
    require("data.valid", spec_.data.valid);
    require("tokenizer.path", spec_.tokenizer);
    require("eval.tasks_data", eval.tasks_data);
  }

  void check_budget() const {
    if (spec_.budget.kwh && !spec_.account.watts_per_gpu)
      fail("budget.kwh", "energy is limited but not counted", "set account.watts_per_gpu");
    if (spec_.budget.money && !spec_.account.price_per_gpu_hour)
      fail("budget.money", "money is limited but not counted", "set account.price_per_gpu_hour");
  }

  // `section` is where the model's keys are written: "model", or "stages.1.grow".
  void check_model(ModelConfig& model, const std::string& section) {
    try {
      model.validate();
      model.check_tensor_parallel(spec_.parallel.tp);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kConfig || section == "model") throw;
      fail(section, error.fact(), error.todo());
    }
    for (const auto& [key, text] : architecture(model.arch).advice(model))
      if (advised_.insert(text).second) advice_.push_back({fmt::format("{}.{}", section, key), text});
  }

  // A factor for what the model does not have would do nothing.
  void check_rate_scales() const {
    if (spec_.optimizer.lr_scale.empty()) return;
    std::vector<std::string> roles;
    const Model model(spec_.model);
    for (const ParamSpec& param : model.table())
      if (std::ranges::find(roles, role_of(param)) == roles.end()) roles.push_back(role_of(param));
    for (const auto& [role, factor] : spec_.optimizer.lr_scale) {
      if (std::ranges::find(roles, role) != roles.end()) continue;
      const std::string near = nearest(role, roles);
      fail("optimizer.lr_scale." + role, fmt::format("this model has no '{}'", role),
           near.empty() ? fmt::format("use {}", fmt::join(roles, ", ")) : "did you mean " + near + "?");
    }
  }

  // Span::steps caps at the stage's length, so the comparison is made here.
  void require_fits(size_t i, const std::string& key, const Span& span) const {
    const int64_t steps = spec_.steps_of_stage(i);
    const bool steps_fit = span.unit != Span::Unit::kSteps || span.value <= static_cast<double>(steps);
    const double stage_tokens = static_cast<double>(steps) * static_cast<double>(spec_.batch.global_tokens);
    const bool tokens_fit = span.unit != Span::Unit::kTokens || span.value <= stage_tokens;
    if (steps_fit && tokens_fit) return;
    const std::string unit = workload(spec_.model.workload).unit();
    fail(stage_key(i, key),
         fmt::format("{} of {:.0f} {} is longer than the stage of {} steps, {:.0f} {}", key, span.value,
                     steps_fit ? unit : "steps", steps, stage_tokens, unit),
         "shorten it, or lengthen the stage");
  }

  void check_learning_rate(size_t i) const {
    const LearningRateSpec& lr = spec_.stages[i].lr;
    require_fits(i, "lr.warmup", lr.warmup);
    require_fits(i, "grow.new.warmup", spec_.stages[i].grow_warmup);
    require_fits(i, "grow.norm_scale", spec_.stages[i].grow_norm_scale);
    require_fits(i, "grow.mask", spec_.stages[i].grow_mask);
    if (lr.kind != ScheduleKind::kConstant && lr.min > lr.peak)
      fail(stage_key(i, "lr.min"), fmt::format("lr.min = {} is larger than lr.peak = {}", lr.min, lr.peak),
           "exchange them");
    if (lr.kind != ScheduleKind::kWsd) return;
    require_fits(i, "lr.decay", lr.decay);
    const int64_t steps = spec_.steps_of_stage(i);
    const int64_t warmup = lr.warmup.steps(steps, spec_.batch.global_tokens);
    const int64_t decay = lr.decay.steps(steps, spec_.batch.global_tokens);
    if (warmup + decay > steps)
      fail(stage_key(i, "lr.decay"),
           fmt::format("warm-up and decay of {} and {} steps are longer than the stage of {}", warmup, decay, steps),
           "shorten one of them, or lengthen the stage");
  }

  // `model` is the model before the stage, then the one after its growth.
  void check_growth(size_t i, ModelConfig& model) {
    const GrowthOptions& grow = spec_.stages[i].grow;
    const std::string section = stage_key(i, "grow");
    if (!grow.grows()) return;
    if (i == 0 && spec_.init_from.empty())
      fail(section, "the first stage has nothing to grow from", "give init_from, or write the widths into model");
    if (const auto problem = width_problem(grow, model)) {
      if (problem->width.empty()) fail(section, problem->what, problem->todo + ", or remove grow");
      fail(fmt::format("{}.{}", section, problem->width), problem->what, problem->todo);
    }
    for (const auto& [width, value] : grow.widths) model.set_width(width, value);
    check_model(model, section);
    check_policy(i, model);
  }

  void check_policy(size_t i, const ModelConfig& model) const {
    if (const auto problem = policy_problem(spec_.stages[i].grow, model))
      fail(stage_key(i, "grow.init"), problem->what, problem->todo);
    if (spec_.stages[i].grow.norm_scale && model.word("norm") != "l2")
      fail(stage_key(i, "grow.norm_scale"), "a model without norm l2 has no norm scale", "remove it");
  }

  CampaignSpec& spec_;
  std::vector<Advice> advice_;
  std::set<std::string> advised_;  // a growth does not repeat what was said of the model before it
};

}  // namespace

std::vector<Advice> check_rules(CampaignSpec& spec) {
  return Rules(spec).check();
}

void check_names(const CampaignSpec& spec) {
  require_safe_name("name", spec.name);
  if (spec.stages.empty())
    fail("stages", "there are no stages", "add stages: [{name: s0, tokens: 1B, lr: {peak: 6e-4}}]");
  for (size_t i = 0; i < spec.stages.size(); ++i) {
    const std::string &name = spec.stages[i].name, key = stage_key(i, "name");
    require_safe_name(key, name);
    for (size_t j = 0; j < i; ++j)
      if (spec.stages[j].name == name)
        fail(key, fmt::format("stages {} and {} are both named '{}'", j, i, name), "rename one of them");
  }
}

int ranks_of_job(const CampaignSpec& spec, const ClusterSpec& cluster) {
  const int64_t nodes = spec.slurm.nodes, per_node = cluster.ranks_per_node(), ranks = nodes * per_node;
  const int64_t tp = spec.parallel.tp, wanted = spec.parallel.dp * tp;  // 0: dp is auto
  if (ranks > INT32_MAX)
    fail("slurm.nodes", fmt::format("{} nodes of {} ranks are too many", nodes, per_node), "correct it");
  if (wanted > 0 && wanted != ranks)
    fail("slurm.nodes",
         fmt::format("parallel.dp {} times parallel.tp {} makes {} ranks, but {} nodes of {} make {}", spec.parallel.dp,
                     tp, wanted, nodes, per_node, ranks),
         "correct slurm.nodes, or set parallel.dp to auto");
  if (ranks % tp != 0)
    fail("parallel.tp", fmt::format("{} nodes of {} ranks do not divide by it ({})", nodes, per_node, tp),
         "choose a divisor of the ranks");
  return static_cast<int>(ranks);
}

std::string stage_key(size_t stage, const std::string& key) {
  return fmt::format("stages.{}.{}", stage, key);
}

}  // namespace nexus
