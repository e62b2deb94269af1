#include "config/validate.h"

#include <fmt/format.h>

#include <set>

#include "core/error.h"
#include "core/run_folder.h"
#include "model/architecture.h"

namespace nexus {
namespace {

class Validator {
 public:
  Validator(CampaignSpec& spec, const Locations& locations) : spec_(spec), locations_(locations) {}

  std::vector<std::string> run() {
    check_names();
    check_model(spec_.model, "model");
    check_batch();
    ModelConfig model = spec_.model;
    for (size_t i = 0; i < spec_.stages.size(); ++i) {
      check_growth(i, model);
      check_learning_rate(i);
    }
    if (spec_.data.train.empty())
      warn("data.train", "data.train is empty: this campaign can be planned, but not trained");
    check_budget();
    return std::move(warnings_);
  }

 private:
  [[noreturn]] void fail(const std::string& key, const std::string& what, const std::string& todo) const {
    refuse(locations_.of(key), key, what, todo);
  }

  void warn(const std::string& key, const std::string& what) {
    warnings_.push_back(fmt::format("{}; {} key {}", what, locations_.of(key).text(), key));
  }

  void require_safe(const std::string& key, const std::string& name) const {
    if (!is_safe_name(name))
      fail(key, fmt::format("{} '{}' cannot be a folder name", key, name),
           "use 1 to 100 letters, digits, dots, dashes and underscores, and begin with a letter or digit");
  }

  void check_names() {
    require_safe("name", spec_.name);
    for (size_t at = spec_.out.find("%name"); at != std::string::npos; at = spec_.out.find("%name"))
      spec_.out.replace(at, 5, spec_.name);
    if (spec_.stages.empty())
      fail("stages", "there are no stages", "add stages: [{name: s0, tokens: 1B, lr: {peak: 6e-4}}]");
    for (size_t i = 0; i < spec_.stages.size(); ++i) {
      const std::string& name = spec_.stages[i].name;
      require_safe(stage_key(i, "name"), name);
      for (size_t j = 0; j < i; ++j)
        if (spec_.stages[j].name == name)
          fail(stage_key(i, "name"), fmt::format("stages {} and {} are both named '{}'", j, i, name),
               "rename one of them");
    }
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
      if (error.kind() != ErrorKind::kConfig) throw;
      const std::string key = section == "model" ? error.where() : section;
      fail(key, error.fact(), error.todo());
    }
    for (const auto& [key, text] : architecture(model.arch).advice(model))
      if (advised_.insert(text).second) warn(fmt::format("{}.{}", section, key), text);
  }

  void check_batch() {
    const int64_t global = spec_.batch.global_tokens, ranks = std::max(spec_.parallel.dp, 1);
    const int64_t pass = spec_.data.context * spec_.batch.micro;
    if (const int tp = spec_.parallel.tp; spec_.parallel.sequence && spec_.data.context % tp != 0)
      fail("data.context",
           fmt::format("data.context = {} does not divide by parallel.tp = {}, and parallel.sequence splits it",
                       spec_.data.context, tp),
           "choose another context, or set parallel.sequence to false");
    if (pass > global / ranks || global % (pass * ranks) != 0) {
      const int64_t unit = pass * ranks, below = global / unit * unit;
      const std::string choice = below > 0 ? fmt::format("{} or {}", below, below + unit) : fmt::format("{}", unit);
      fail("batch.global_tokens",
           fmt::format("batch.global_tokens = {} is no multiple of context {} * micro {}{} = {}", global,
                       spec_.data.context, spec_.batch.micro, ranks > 1 ? fmt::format(" * dp {}", ranks) : "", unit),
           fmt::format("set it to {}, or choose another micro", choice));
    }
  }

  // Span::steps caps at the stage's length, so the comparison is made here.
  void require_fits(size_t i, const std::string& key, const Span& span) const {
    const int64_t steps = spec_.steps_of_stage(i);
    const bool steps_fit = span.unit != Span::Unit::kSteps || span.value <= static_cast<double>(steps);
    const double stage_tokens = static_cast<double>(steps) * static_cast<double>(spec_.batch.global_tokens);
    const bool tokens_fit = span.unit != Span::Unit::kTokens || span.value <= stage_tokens;
    if (!steps_fit || !tokens_fit)
      fail(stage_key(i, key),
           fmt::format("{} of {:.0f} {} is longer than the stage of {} steps, {:.0f} tokens", key, span.value,
                       steps_fit ? "tokens" : "steps", steps, stage_tokens),
           "shorten it, or lengthen the stage");
  }

  void check_learning_rate(size_t i) const {
    const LearningRateSpec& lr = spec_.stages[i].lr;
    require_fits(i, "lr.warmup", lr.warmup);
    require_fits(i, "grow.new.warmup", spec_.stages[i].grow_warmup);
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
    if (!grow.grows()) {
      if (locations_.has_any_under(section))
        fail(section, "this growth names no new width", "add a width that grows (M, A or n_...), or remove grow");
      return;
    }
    if (i == 0 && spec_.init_from.empty())
      fail(section, "the first stage has nothing to grow from", "give init_from, or write the widths into model");
    bool larger = false;
    for (const auto& [width, value] : grow.widths) {
      const int64_t before = model.width(width);
      const std::string key = fmt::format("{}.{}", section, width);
      if (value < before)
        fail(key, fmt::format("{} would shrink from {} to {}", width, before, value),
             fmt::format("growth only adds: write at least {}", before));
      larger = larger || value > before;
      model.set_width(width, value);
    }
    if (!larger) fail(section, "this growth changes no width", "enlarge one of the widths, or remove grow");
    check_model(model, section);
    check_policy(i, model);
  }

  void check_policy(size_t i, const ModelConfig& model) const {
    if (const auto problem = policy_problem(spec_.stages[i].grow, model))
      fail(stage_key(i, "grow.init"), problem->what, problem->todo);
  }

  static std::string stage_key(size_t i, const std::string& key) { return fmt::format("stages.{}.{}", i, key); }

  CampaignSpec& spec_;
  const Locations& locations_;
  std::vector<std::string> warnings_;
  std::set<std::string> advised_;  // a growth does not repeat what was said of the model before it
};

}  // namespace

std::vector<std::string> validate(CampaignSpec& spec, const Locations& locations) {
  return Validator(spec, locations).run();
}

}  // namespace nexus
