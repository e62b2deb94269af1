#include "campaign/changed_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/error.h"
#include "model/workload.h"

namespace nexus {
namespace {

constexpr char kAbsent[] = "absent";

bool is_stage_key(const std::string& key) {
  return key.starts_with("stages.");
}

std::string value_or_absent(const StageNumerics& numerics, const std::string& key) {
  const auto found = numerics.find(key);
  return found == numerics.end() ? kAbsent : found->second;
}

// A key that this build does not know was numerics to the one that wrote the state.
KeyClass class_or_fixed(const CurrentSettings& now, const std::string& key) {
  return now.class_of(key).value_or(KeyClass::kFixed);
}

// The key within its stage ("lr.warmup" of "stages.1.lr.warmup").
std::string within_stage(const std::string& key) {
  return is_stage_key(key) ? key.substr(key.find('.', std::string("stages.").size()) + 1) : key;
}

// Judges changes of the stage that the run stands in.
class OpenStage {
 public:
  OpenStage(const CampaignSpec& spec, const TrainState& state)
      : index_(static_cast<size_t>(state.stage_index)), spec_(spec), state_(state), stage_(spec.stages.at(index_)) {}

  bool finished() const { return state_.step >= spec_.steps_of_stage(index_); }

  // Why a change of a key of class kSchedule cannot be carried out; empty if it can.
  std::string refusal(const std::string& key, const std::string& was, const std::string& is) const {
    const std::string own = within_stage(key);
    if (is_stage_key(key) && finished()) return own == "tokens" ? too_short() : stage_is_over();
    if (finished() && index_ + 1 == spec_.stages.size()) return "no step is left that it could change: append a stage";
    if (own == "lr.warmup") return over(stage_.lr.warmup, "warm-up");
    if (own.starts_with("grow.new.warmup")) return over(stage_.grow_warmup, "warm-up of the new blocks");
    if (key == "precision.compute" && (was == "f64" || is == "f64"))
      return "the checkpoint's weights are of another type: put it back";
    return "";
  }

 private:
  std::string stage_is_over() const {
    return fmt::format("stage {} is finished: put it back, or append a stage", state_.stage());
  }

  std::string too_short() const {
    return fmt::format("{} {} of it are trained: write more than that, or put it back and append a stage",
                       state_.stages.back().tokens, workload(spec_.model.workload).unit());
  }

  std::string over(const Span& span, const char* what) const {
    const int64_t steps = span.steps(spec_.steps_of_stage(index_), spec_.batch.global_tokens);
    if (steps > state_.step) return "";
    return fmt::format("a {} of {} steps is over at step {}: put it back", what, steps, state_.step);
  }

  size_t index_;
  const CampaignSpec& spec_;
  const TrainState& state_;
  const StageSpec& stage_;
};

std::string fixed_refusal(const std::string& key) {
  if (key.starts_with("model."))
    return "no option can change the model of a run: put it back; a new run may have another one, and an appended "
           "stage "
           "may grow its widths";
  if (key == "batch.global_tokens" || key == "data.context")
    return "no option can change it within a run: put it back; for another one end this run with a shorter stage, and "
           "start a new run from its checkpoint with init_from";
  if (is_stage_key(key)) return "no option can change it once the stage has begun: put it back, or append a stage";
  return "no option can change it within a run: put it back, or start a new run (another out)";
}

// Changes of stage `i`, which is in `state`.
void add_changes(const CurrentSettings& now, const TrainState& state, size_t i, std::vector<SettingChange>& changes) {
  const StageNumerics &was = state.stage_numerics[i], &is = now.stage_numerics[i];
  const std::string& name = state.stages[i].stage;
  const bool past = i + 1 < state.stage_numerics.size();
  std::set<std::string> keys;
  for (const StageNumerics* side : {&was, &is})
    for (const auto& entry : *side) keys.insert(entry.first);
  const OpenStage open(now.spec, state);
  for (const std::string& key : keys) {
    const std::string before = value_or_absent(was, key), after = value_or_absent(is, key);
    const KeyClass key_class = class_or_fixed(now, key);
    if (before == after || !is_numerics(key_class) || (past && !is_stage_key(key))) continue;
    SettingChange change{key, fmt::format("{}: {} was {}, is {}", name, key, before, after), ""};
    if (key_class == KeyClass::kFixed)
      change.refusal = fixed_refusal(key);
    else if (past)
      change.refusal = fmt::format("stage {} is finished: put it back, or append a stage", name);
    else
      change.refusal = open.refusal(key, before, after);
    const std::string schedule = fmt::format("stages.{}.lr.schedule", i);
    const bool came_or_went = before == kAbsent || after == kAbsent;
    if (came_or_went && value_or_absent(was, schedule) != value_or_absent(is, schedule)) change.with = schedule;
    changes.push_back(std::move(change));
  }
}

}  // namespace

std::vector<SettingChange> changed_settings(const CurrentSettings& now, const TrainState& state) {
  std::vector<SettingChange> changes;
  if (!state.flops_def.empty() && state.flops_def != now.spec.account.flops_def)
    changes.push_back(
        {"account.flops_def",
         fmt::format("account.flops_def was {}, is {}", state.flops_def, now.spec.account.flops_def),
         "no option can change it, for a total adds no two definitions: put it back, or start a new run"});
  for (size_t i = 0; i < state.stage_numerics.size(); ++i)
    if (i >= now.spec.stages.size())
      changes.push_back({"stages", fmt::format("stage {} is gone", state.stages[i].stage),
                         "put the stages of this run back; new ones may only be appended"});
  if (static_cast<size_t>(state.stage_index) >= now.spec.stages.size()) return changes;
  for (size_t i = 0; i < state.stage_numerics.size(); ++i) add_changes(now, state, i, changes);
  return changes;
}

std::vector<SettingChange> require_allowed_changes(const CurrentSettings& now, const TrainState& state,
                                                   const std::vector<std::string>& allowed) {
  const std::vector<SettingChange> changes = changed_settings(now, state);
  std::string facts, cures, options;
  for (const SettingChange& change : changes) {
    const auto is_allowed = [&](const std::string& key) {
      return std::find(allowed.begin(), allowed.end(), key) != allowed.end();
    };
    if (change.refusal.empty() && (is_allowed(change.key) || is_allowed(change.with))) continue;
    facts += (facts.empty() ? "" : ", ") + change.text;
    if (change.refusal.empty() && change.with.empty())
      options += " --allow-schedule-change " + change.key;
    else if (change.refusal.empty())
      continue;                                                // the option for the other key is named with that
    else if (cures.find(change.refusal) == std::string::npos)  // once for all keys that it holds for
      cures += (cures.empty() ? "" : "; ") + change.key + ": " + change.refusal;
  }
  if (facts.empty()) return changes;
  if (!options.empty())
    cures += (cures.empty() ? "" : "; ") + ("put it back, append a new stage, or change it on purpose with" + options);
  throw Error(ErrorKind::kConfig, "the configuration changes what this run was trained with: " + facts, now.spec.out,
              cures);
}

void adopt_settings(const CurrentSettings& now, TrainState& state) {
  if (!OpenStage(now.spec, state).finished()) state.stage_numerics.back() = now.stage_numerics[state.stages.size() - 1];
}

}  // namespace nexus
