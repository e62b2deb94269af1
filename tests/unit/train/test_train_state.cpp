#include <gtest/gtest.h>

#include "growth/grow.h"
#include "spec/train_options.h"
#include "support/expect_error.h"
#include "train/train_state.h"

namespace nexus {
namespace {

TrainState some_state() {
  TrainState state;
  state.model.arch = "tokenformer";
  state.model.d = 64;
  state.model.heads = 4;
  state.model.counts["n_qkv"] = state.model.counts["n_proj"] = 80;
  state.model.counts["n_ffn"] = 96;
  state.model.counts["scale_qkv"] = 72;
  state.model.words["tie"] = "true";
  state.model.rotary_share = 0.25;
  state.model.validate();
  state.stage_index = 1;
  state.step = 17;
  state.samples = int64_t{1} << 40;
  state.seed = 0xFFFFFFFFFFFFFFFF;
  state.data_digest = "0123";
  state.data = {{"45", "67"}, {"uint16", "int32"}, "89", "uint16", "ab"};
  state.generations = {first_generation(state.model), first_generation(state.model)};
  state.generations[0].updates1 = 99;
  state.inherited_tokens = 5;
  state.inherited_flops = 1e15;
  state.stages = {{"a", 100, 1e12, 3.5, 7.0}, {"b", 50, 2e12, 1.25, 2.5}};
  state.stage_numerics = {{{"model.D", "64"}}, {{"model.D", "64"}, {"seed", "1"}}};
  return state;
}

TEST(TrainState, SurvivesJsonUnchanged) {
  const TrainState state = some_state();
  const auto text = to_json(state).dump();
  const TrainState back = train_state_from_json(nlohmann::json::parse(text), "here");
  EXPECT_EQ(to_json(back).dump(), text);
  EXPECT_EQ(back.model, state.model);
  EXPECT_EQ(back.generations, state.generations);
  EXPECT_EQ(back.seed, state.seed);
  EXPECT_EQ(back.data, state.data);
  EXPECT_EQ(back.total_tokens(), 155);
  EXPECT_DOUBLE_EQ(back.total_flops(), 1e15 + 3e12);
}

// Every field is needed: a state without one is refused, and the message names the place.
TEST(TrainState, RefusesAStateWithAnyFieldMissing) {
  const auto whole = to_json(some_state());
  for (const char* derived : {"stage", "tokens", "flops"}) ASSERT_TRUE(whole.contains(derived));
  for (const auto& [key, value] : whole.items()) {
    if (key == "stage" || key == "tokens" || key == "flops") continue;  // for readers; recomputed from the others
    if (key == "data" || key == "flops_def") continue;                  // older checkpoints have none
    auto document = whole;
    document.erase(key);
    EXPECT_NEXUS_ERROR(train_state_from_json(document, "ck/state.json"), ErrorKind::kCheckpoint,
                       ::testing::HasSubstr("ck/state.json"));
  }
}

// An older nexus would compute another function, so it must not read such a state.
TEST(TrainState, WithNormScalesIsOfANewerVersion) {
  TrainState state = some_state();
  EXPECT_EQ(to_json(state).at("version"), 1);
  EXPECT_FALSE(to_json(state).contains("norm_scales"));
  state.norm_scales = {{"M", {1.2, 1.625, 1.0 / 3.0}}, {"A", {}}};
  const auto text = to_json(state).dump();
  EXPECT_EQ(nlohmann::json::parse(text).at("version"), 2);
  EXPECT_EQ(train_state_from_json(nlohmann::json::parse(text), "here").norm_scales, state.norm_scales);
  auto document = nlohmann::json::parse(text);
}

TEST(TrainState, WithMasksIsOfANewerVersionUntilTheyAreOpen) {
  TrainState state = some_state();
  EXPECT_NO_THROW(require_open_masks(state, "here"));
  state.growth_masks = {{"M", {48, 1.0 / 3.0}}, {"A", {64, 0}}};
  const auto document = nlohmann::json::parse(to_json(state).dump());
  EXPECT_EQ(document.at("version"), 3);
  EXPECT_EQ(train_state_from_json(document, "here").growth_masks, state.growth_masks);
  EXPECT_NEXUS_ERROR(require_open_masks(state, "ck/0000003"), ErrorKind::kConfig,
                     ::testing::AllOf(::testing::HasSubstr("of A from 64 on"), ::testing::HasSubstr("ck/0000003"),
                                      ::testing::HasSubstr("grow.mask")));
  state.growth_masks.clear();
  EXPECT_EQ(to_json(state).at("version"), 1);
  EXPECT_FALSE(to_json(state).contains("growth_masks"));
}

TEST(TrainState, OfAnOlderNexusKnowsNothingOfItsDatasContent) {
  auto document = to_json(some_state());
  document.erase("data");
  EXPECT_EQ(train_state_from_json(document, "x").data, DataIdentity{});
  document["data"] = {{"train", "no list"}};
  EXPECT_NEXUS_ERROR(train_state_from_json(document, "x"), ErrorKind::kCheckpoint, ::testing::HasSubstr("x"));
}

TEST(TrainState, OfAnOlderNexusSaysNothingOfItsFlopsDefinition) {
  TrainState state = some_state();
  state.flops_def = "6n";
  auto document = to_json(state);
  EXPECT_EQ(train_state_from_json(document, "x").flops_def, "6n");
  document.erase("flops_def");
  EXPECT_EQ(train_state_from_json(document, "x").flops_def, "");
}

// Keys that came late say nothing where a model is as all were before, so that states and builds of then fit.
TEST(TrainState, SaysLateKeysOfTheModelWhereTheyAreNotTheirPresets) {
  TrainState state = some_state();
  state.model.validate();
  EXPECT_FALSE(to_json(state)["model"].contains("init") || to_json(state)["model"].contains("qk_norm"));
  EXPECT_EQ(train_state_from_json(to_json(state), "x").model, state.model);
  state.model.words["init"] = "fan_in";
  EXPECT_EQ(to_json(state)["model"]["init"], "fan_in");
  EXPECT_FALSE(to_json(state)["model"].contains("qk_norm"));
  EXPECT_EQ(train_state_from_json(to_json(state), "x").model, state.model);
}

TEST(TrainState, RefusesWrongTypesVersionsAndArchitectures) {
  auto document = to_json(some_state());
  document["version"] = 4;
  EXPECT_NEXUS_ERROR(train_state_from_json(document, "x"), ErrorKind::kCheckpoint, ::testing::HasSubstr("version 4"));
  document = to_json(some_state());
  document["step"] = "seventeen";
  EXPECT_NEXUS_ERROR(train_state_from_json(document, "x"), ErrorKind::kCheckpoint, ::testing::HasSubstr("state"));
  document = to_json(some_state());
  document["model"]["arch"] = "perceptron";
  EXPECT_NEXUS_ERROR(train_state_from_json(document, "x"), ErrorKind::kCheckpoint, ::testing::HasSubstr("perceptron"));
}

TEST(Period, IsDueWhereItsUnitIsCrossed) {
  const Period steps{Period::Unit::kSteps, 10}, tokens{Period::Unit::kTokens, 1000}, never;
  EXPECT_TRUE(steps.due(9, 10, 0, 0));
  EXPECT_FALSE(steps.due(10, 11, 0, 0));
  EXPECT_TRUE(tokens.due(0, 1, 900, 1100));
  EXPECT_TRUE(tokens.due(0, 1, 900, 1000));
  EXPECT_FALSE(tokens.due(0, 1, 1000, 1900));
  EXPECT_FALSE(never.due(0, 1000000, 0, 1000000));
}

}  // namespace
}  // namespace nexus
