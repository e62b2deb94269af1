#include <fmt/format.h>

#include <array>

#include "config/schema_rows.h"

namespace nexus {
namespace {

constexpr int64_t kMaxStageTokens = 1'000'000'000'000'000;

using Rows = Table<StageSpec>;

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
std::string nexusformer_only(const StageSpec&, const ModelConfig& model) {
  return model.arch == Arch::kNexusformer ? "" : "belongs to arch nexusformer";
}

void add_learning_rate(Rows& t) {
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

struct GrowableWidth {
  Width width;
  Arch arch;
  const char* comment;
  const char* example;
};
constexpr std::array<GrowableWidth, 5> kGrowable{
    {{Width::kM, Arch::kNexusformer, "new width M", "1664"},
     {Width::kA, Arch::kNexusformer, "new width A", "2176"},
     {Width::kTokensQkv, Arch::kTokenformer, "new number of tokens of q, k and v", "1152"},
     {Width::kTokensProj, Arch::kTokenformer, "new number of tokens of the output projection", "1152"},
     {Width::kTokensFfn, Arch::kTokenformer, "new number of tokens of the feed-forward layer", "4608"}}};

Field<StageSpec> growth_row(const GrowableWidth& entry) {
  const CountType type{1, kMaxWidth};
  Field<StageSpec> field(fmt::format("grow.{}", name_of(entry.width)), kFixed);
  field.example = entry.example;
  field.comment = entry.comment;
  field.optional = true;
  field.set = [type, width = entry.width](StageSpec& stage, const Node& node, const std::string& key) {
    stage.grow.widths[width] = type.parse(node, key);
  };
  field.get = [width = entry.width](const StageSpec& stage) -> std::optional<std::string> {
    const auto found = stage.grow.widths.find(width);
    if (found == stage.grow.widths.end()) return std::nullopt;
    return fmt::format("{}", found->second);
  };
  field.misplaced = [arch = entry.arch](const StageSpec&, const ModelConfig& model) -> std::string {
    return model.arch == arch ? "" : "belongs to arch " + name_of(arch);
  };
  return field;
}

void add_growth_options(Rows& t) {
  using enum GrowthInit;
  const auto init = choice_of({kZeroRows, kZeroAll, kZeroColumns, kRandom, kReleased, kZeroKey, kZeroKeyFixedScale});
  add(t, "grow.init", "zero_rows", init, growth(&GrowthOptions::init), kFixed,
      "zero_rows, zero_all, zero_columns, random; tokenformer: zero_key_fixed_scale, zero_key, released")
      .tokenformer_preset = "zero_key_fixed_scale";
  add(t, "grow.column_std", "0.02", RealType{0, 100, true}, growth(&GrowthOptions::column_std), kFixed,
      "standard deviation of the new entries that are not zero")
      .misplaced = nexusformer_only;
  add(t, "grow.optimizer", "keep", choice_of({MomentPolicy::kKeep, MomentPolicy::kKeepV, MomentPolicy::kReset}),
      growth(&GrowthOptions::moments), kFixed, "moments of the old entries: keep, keep_v or reset");
  add(t, "grow.new.lr_mult", "1", RealType{0, 1e3, true}, growth(&GrowthOptions::new_lr_mult), kSchedule,
      "learning-rate multiplier of the new blocks");
  add(t, "grow.new.warmup", "0", SpanType{}, at(&StageSpec::grow_warmup), kSchedule,
      "linear warm-up of the new blocks' own: a share, steps or tokens");
  add(t, "grow.lossless", "true", FlagType{}, growth(&GrowthOptions::lossless), kPlacement,
      "stop the campaign if the growth changes the outputs");
  add(t, "grow.allow_dead", "false", FlagType{}, growth(&GrowthOptions::allow_dead), kPlacement,
      "accept new blocks that can never move");
}

void add_growth(Rows& t) {
  const size_t first = t.size();
  for (const GrowableWidth& entry : kGrowable) t.push_back(growth_row(entry));
  const size_t first_option = t.size();
  add_growth_options(t);
  // Without a new width there is no growth, and its options have no value to show.
  for (size_t i = first_option; i < t.size(); ++i)
    t[i].get = [inner = t[i].get](const StageSpec& stage) { return stage.grow.grows() ? inner(stage) : std::nullopt; };
  for (size_t i = first; i < t.size(); ++i)
    t[i].misplaced = [inner = t[i].misplaced](const StageSpec& stage, const ModelConfig& model) -> std::string {
      if (model.arch == Arch::kTransformer) return "has no meaning for arch transformer, which cannot grow";
      return inner ? inner(stage, model) : "";
    };
}

}  // namespace

const Rows& stage_table() {
  static const Rows table = [] {
    Rows t;
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
