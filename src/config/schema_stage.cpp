#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "config/schema_rows.h"
#include "growth/growth_policy.h"

namespace nexus {
namespace {

constexpr int64_t kMaxStageTokens = 1'000'000'000'000'000;

using StageRows = Table<StageSpec>;

template <typename Member>
auto rate(Member LearningRateSpec::*member) {
  return at(&StageSpec::lr, member);
}
template <typename Member>
auto growth(Member GrowthOptions::*member) {
  return at(&StageSpec::grow, member);
}

std::string not_constant(const StageSpec& stage, const ModelConfig&) {
  return stage.lr.kind == ScheduleKind::kConstant ? "has no meaning for schedule constant" : "";
}
std::string wsd_only(const StageSpec& stage, const ModelConfig&) {
  return stage.lr.kind == ScheduleKind::kWsd ? "" : "belongs to schedule wsd";
}
bool has_key(const GrowthPolicy& policy, const std::string& name) {
  const std::vector<GrowthKey> keys = policy.keys();
  return std::any_of(keys.begin(), keys.end(), [&](const GrowthKey& key) { return key.name == name; });
}

void add_learning_rate(StageRows& t) {
  const ChoiceType<ScheduleKind> schedule{
      {{"constant", ScheduleKind::kConstant}, {"cosine", ScheduleKind::kCosine}, {"wsd", ScheduleKind::kWsd}}};
  add(t, "lr.peak", "", RealType{0, 1e3, true}, rate(&LearningRateSpec::peak), kSchedule,
      "learning rate at the end of the warm-up")
      .example = "6e-4";
  add(t, "lr.schedule", "cosine", schedule, rate(&LearningRateSpec::kind), kSchedule,
      "constant, cosine or wsd (stable, then a linear decay)");
  add(t, "lr.warmup", "1%", SpanType{}, rate(&LearningRateSpec::warmup), kSchedule,
      "linear warm-up: a share, steps or tokens");
  add(t, "lr.min", "0", RealType{0, 1e3}, rate(&LearningRateSpec::min), kSchedule, "learning rate of the last step")
      .misplaced = not_constant;
  add(t, "lr.decay", "20%", SpanType{}, rate(&LearningRateSpec::decay), kSchedule, "length of the final decay")
      .misplaced = wsd_only;
}

Field<StageSpec> growth_row(const Architecture& arch, const ModelKey& key) {
  const CountType type{1, kMaxWidth};
  Field<StageSpec> field(fmt::format("grow.{}", key.name), kFixed);
  field.example = key.growth.example;
  field.comment = key.growth.comment;
  field.optional = true;
  field.set = [type, width = key.name](StageSpec& stage, const Node& node, const std::string& path) {
    stage.grow.widths[width] = type.parse(node, path);
  };
  field.get = [width = key.name](const StageSpec& stage) -> std::optional<std::string> {
    const auto found = stage.grow.widths.find(width);
    if (found == stage.grow.widths.end()) return std::nullopt;
    return fmt::format("{}", found->second);
  };
  field.misplaced = [width = key.name, &arch](const StageSpec&, const ModelConfig& model) -> std::string {
    const ModelKey* own = architecture(model.arch).find_key(width);
    return own != nullptr && own->grows() ? "" : "belongs to arch " + arch.name();
  };
  return field;
}

void add_growable_widths(StageRows& t) {
  std::set<std::string> added;
  for (const Architecture* each : all_architectures())
    for (const ModelKey& key : each->keys())
      if (key.grows() && added.insert(key.name).second) t.push_back(growth_row(*each, key));
}

void add_growth_policy(StageRows& t) {
  ChoiceType<const GrowthPolicy*> init;
  for (const GrowthPolicy* each : all_growth_policies()) init.choices.emplace_back(each->name(), each);
  add(t, "grow.init", init.choices.front().first, init, growth(&GrowthOptions::policy), kFixed,
      describe_growth_policies())
      .own_preset = [](const StageSpec&, const ModelConfig& model) -> std::optional<std::string> {
    return growth_policies_for(architecture(model.arch).grown_part()).front()->name();
  };
}

// A number that some policies read.
void add_growth_number(StageRows& t, const GrowthKey& key) {
  Field<StageSpec>& field = t.emplace_back("grow." + key.name, kFixed);
  field.preset = real_text(key.preset);
  field.comment = key.comment;
  field.set = [type = RealType{0, key.most, true}, name = key.name](StageSpec& stage, const Node& node,
                                                                    const std::string& path) {
    stage.grow.numbers[name] = type.parse(node, path);
  };
  field.get = [name = key.name](const StageSpec& stage) -> std::optional<std::string> {
    return real_text(stage.grow.number(name));
  };
  field.misplaced = [name = key.name](const StageSpec& stage, const ModelConfig&) -> std::string {
    if (has_key(*stage.grow.policy, name)) return "";
    std::vector<std::string> owners;
    for (const GrowthPolicy* each : all_growth_policies())
      if (has_key(*each, name)) owners.push_back(each->name());
    return "belongs to growths with grow.init " + join_names(owners);
  };
}

std::string without_warmup(const StageSpec& stage, const ModelConfig&) {
  return stage.grow_warmup.value > 0 ? "" : "has no meaning without grow.new.warmup";
}

// Shown only where it is not `preset`, as in runs that began before the key was known.
Field<StageSpec>& add_later(StageRows& t, const std::string& key, const std::string& preset, const auto& type,
                            auto access, KeyClass key_class, const std::string& comment) {
  Field<StageSpec>& field = add(t, key, preset, type, access, key_class, comment);
  field.get = [inner = field.get, preset](const StageSpec& stage) {
    const std::optional<std::string> value = inner(stage);
    return value == preset ? std::nullopt : value;
  };
  return field;
}

// A length from the growth on, and whether there is one.
Field<StageSpec>& add_length(StageRows& t, const std::string& key, Span StageSpec::*length, bool GrowthOptions::*is_on,
                             const std::string& comment) {
  Field<StageSpec>& field = add_later(t, key, "0", SpanType{}, at(length), kFixed, comment);
  field.set = [=, inner = field.set](StageSpec& stage, const Node& node, const std::string& path) {
    inner(stage, node, path);
    stage.grow.*is_on = (stage.*length).value > 0;
  };
  return field;
}

void add_lengths(StageRows& t) {
  add_length(t, "grow.mask", &StageSpec::grow_mask, &GrowthOptions::mask,
             "length over which a mask on the new channels opens, before their norm; 0: none");
  add_length(t, "grow.norm_scale", &StageSpec::grow_norm_scale, &GrowthOptions::norm_scale,
             "length over which the norms' scale follows the widths; 0: it stays")
      .misplaced = [](const StageSpec&, const ModelConfig& model) -> std::string {
    return model.find_key("norm") != nullptr ? "" : "belongs to models with a norm in their layers";
  };
}

void add_growth_options(StageRows& t) {
  add(t, "grow.optimizer", "keep", choice_of({MomentPolicy::kKeep, MomentPolicy::kKeepV, MomentPolicy::kReset}),
      growth(&GrowthOptions::moments), kFixed, "moments of the old entries: keep, keep_v or reset");
  add_lengths(t);
  add_later(t, "grow.old.lr_mult", "1", RealType{0, 1e3}, growth(&GrowthOptions::old_lr_mult), kSchedule,
            "learning-rate multiplier of all that was there before; 0 freezes it");
  add(t, "grow.new.lr_mult", "1", RealType{0, 1e3, true}, growth(&GrowthOptions::new_lr_mult), kSchedule,
      "learning-rate multiplier of the new blocks");
  add(t, "grow.new.warmup", "0", SpanType{}, at(&StageSpec::grow_warmup), kSchedule,
      "linear warm-up of the new blocks' own: a share, steps or tokens");
  add_later(t, "grow.new.warmup_from", "0", RealType{0, 1e3}, growth(&GrowthOptions::new_warmup_from), kSchedule,
            "multiplier at which that warm-up begins; 1: the schedule's rate")
      .misplaced = without_warmup;
  add_later(t, "grow.new.warmup_decay", "true", FlagType{}, growth(&GrowthOptions::new_warmup_decay), kSchedule,
            "weight decay of the new blocks during that warm-up")
      .misplaced = without_warmup;
  add(t, "grow.lossless", "true", FlagType{}, growth(&GrowthOptions::lossless), kPlacement,
      "stop the campaign if the growth changes the outputs");
  add(t, "grow.allow_dead", "false", FlagType{}, growth(&GrowthOptions::allow_dead), kPlacement,
      "accept new blocks that can never move");
}

void add_growth(StageRows& t) {
  const size_t first = t.size();
  add_growable_widths(t);
  const size_t first_option = t.size();
  add_growth_policy(t);
  const size_t after_policy = t.size();
  for (const GrowthKey& key : growth_keys(all_growth_policies())) add_growth_number(t, key);
  add_growth_options(t);
  for (size_t i = after_policy; i < t.size(); ++i)
    t[i].own_preset = [key = t[i].key](const StageSpec& stage, const ModelConfig&) -> std::optional<std::string> {
      const auto presets = stage.grow.policy->presets();
      const auto own = presets.find(key);
      return own == presets.end() ? std::nullopt : std::optional(own->second);
    };
  // Without a new width there is no growth, and its options have no value to show.
  for (size_t i = first_option; i < t.size(); ++i)
    t[i].get = [inner = t[i].get](const StageSpec& stage) { return stage.grow.grows() ? inner(stage) : std::nullopt; };
  for (size_t i = first; i < t.size(); ++i)
    t[i].misplaced = [inner = t[i].misplaced](const StageSpec& stage, const ModelConfig& model) -> std::string {
      if (architecture(model.arch).grown_part().empty())
        return fmt::format("has no meaning for arch {}, which cannot grow", model.arch);
      return inner ? inner(stage, model) : "";
    };
}

}  // namespace

const StageRows& stage_table() {
  static const StageRows table = [] {
    StageRows t;
    add(t, "name", "", TextType{}, at(&StageSpec::name), kFixed, "name of the stage").example = "s0";
    add(t, "tokens", "", CountType{1, kMaxStageTokens}, at(&StageSpec::tokens), kSchedule,
        "length in tokens; rounded up to whole steps")
        .example = "100B";
    add_learning_rate(t);
    add_growth(t);
    return t;
  }();
  return table;
}

}  // namespace nexus
