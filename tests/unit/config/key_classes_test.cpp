// What a change of each key does to a run that has begun, for every key that there is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "campaign/changed_settings.h"
#include "config/schema.h"
#include "core/files.h"
#include "unit/config/config_test_support.h"

namespace nexus::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kReference = NEXUS_SOURCE_DIR "/configs/reference.yaml";
const ClassOfKey kClassOf = class_of_key;

// Values of one key or another; the first that differs from the reference's is tried.
const std::vector<std::string> kCandidates = {
    "200B",  "other", "tanh", "none",        "qkv",      "bf16",     "keep_v", "wsd",       "2%",
    "1e-5",  "palm",  "skip", "true",        "false",    "zero_all", "2h",     "500 steps", "0.5",
    "3",     "1",     "8",    "24",          "2048",     "2Mi",      "1700",   "2200",      "[0.8, 0.9]",
    "adamw", "0",     "4",    "activations", "campaign", "[]",       "[piqa]"};

std::optional<LoadedCampaign> with_another(const Setting& setting) {
  for (const std::string& candidate : kCandidates) {
    std::vector<std::string> assignments = {setting.key + "=" + candidate};
    if (candidate == "zero_all") assignments.push_back("stages.1.grow.allow_dead=true");
    if (setting.key == "budget.kwh") assignments.push_back("account.watts_per_gpu=700");
    if (setting.key == "budget.money") assignments.push_back("account.price_per_gpu_hour=2");
    if (setting.key.starts_with("eval.tasks") && setting.key != "eval.tasks")
      assignments.insert(assignments.begin(), "eval.tasks=[piqa]");
    if (setting.key.starts_with("eval.tasks") && setting.key != "eval.tasks_data")
      assignments.push_back("eval.tasks_data=evals");
    for (const char* needed : {"tokenizer.path", "data.valid"})
      if (setting.key.starts_with("eval.tasks")) assignments.push_back(std::string(needed) + "=given");
    try {
      const LoadedCampaign after = load_campaign(kReference, {}, assignments);
      if (value_of(after, setting.key) != setting.value) return after;
    } catch (const Error&) {  // not a value of this key
    }
  }
  return std::nullopt;
}

// A run that has done `step` steps of stage `stage`.
TrainState state_in(const LoadedCampaign& campaign, size_t stage, int64_t step) {
  TrainState state;
  state.stage_index = static_cast<int64_t>(stage);
  state.step = step;
  state.flops_def = campaign.spec.account.flops_def;
  for (size_t i = 0; i <= stage; ++i) {
    const int64_t steps = i < stage ? campaign.spec.steps_of_stage(i) : step;
    state.stages.push_back({campaign.spec.stages[i].name, steps * campaign.spec.batch.global_tokens});
    state.stage_numerics.push_back(campaign.stage_numerics[i]);
  }
  return state;
}

// The change of the key as a run in this stage sees it; nothing if it sees none.
std::optional<SettingChange> change_of(const std::string& key, const LoadedCampaign& after, const TrainState& state) {
  for (const SettingChange& change : changed_settings({after.spec, after.stage_numerics, kClassOf}, state))
    if (change.key == key) return change;
  return std::nullopt;
}

void expect_refused(const std::string& key, const LoadedCampaign& after, const TrainState& state) {
  const auto change = change_of(key, after, state);
  ASSERT_TRUE(change) << key << " was changed unseen";
  EXPECT_NE(change->refusal, "") << key;
  for (const std::vector<std::string>& allowed : {std::vector<std::string>{}, {key}})
    EXPECT_THROW(require_allowed_changes({after.spec, after.stage_numerics, kClassOf}, state, allowed), Error) << key;
}

void expect_carried_out_if_allowed(const std::string& key, const LoadedCampaign& after, TrainState state) {
  const CurrentSettings now{after.spec, after.stage_numerics, kClassOf};
  const auto change = change_of(key, after, state);
  ASSERT_TRUE(change) << key << " was changed unseen";
  EXPECT_EQ(change->refusal, "") << key;
  EXPECT_THROW(require_allowed_changes(now, state, {}), Error) << key;
  std::vector<std::string> allowed;  // some keys bring others with them: schedule cosine has no decay
  for (const SettingChange& each : changed_settings(now, state)) allowed.push_back(each.key);
  EXPECT_NO_THROW(require_allowed_changes(now, state, allowed)) << key;
  EXPECT_NO_THROW(require_changeable(after, allowed)) << key;
  adopt_settings(now, state);
  EXPECT_TRUE(changed_settings(now, state).empty()) << key;
}

// Every key there is, tried in a run in each of the reference's two stages.
TEST(KeyClasses, SayOfEveryKeyWhatAChangeDoes) {
  const LoadedCampaign before = load_campaign(kReference);
  for (const Setting& setting : before.settings) {
    const std::string& key = setting.key;
    EXPECT_EQ(class_of_key(key), setting.key_class) << key;
    const auto after = with_another(setting);
    // These have one possible value in the reference.
    const bool one_value = key == "optimizer.type" || key == "model.arch";
    EXPECT_NE(after.has_value(), one_value) << key << " was not tried: add a candidate value";
    if (!after) continue;
    EXPECT_NE(after->digest, before.digest) << key;
    EXPECT_EQ(after->stage_numerics != before.stage_numerics, is_numerics(setting.key_class)) << key;
    for (const size_t stage : {size_t{0}, size_t{1}}) {
      const TrainState state = state_in(before, stage, 1);
      const bool future = key.starts_with("stages.1.") && stage == 0, past = key.starts_with("stages.0.") && stage == 1;
      const bool free = setting.key_class == KeyClass::kPlacement || setting.key_class == KeyClass::kCosmetic ||
                        setting.key_class == KeyClass::kData;  // compared by content, when the files are open
      if (free || future)
        EXPECT_FALSE(change_of(key, *after, state)) << key;
      else if (setting.key_class == KeyClass::kSchedule && !past)
        expect_carried_out_if_allowed(key, *after, state);
      else
        expect_refused(key, *after, state);
    }
  }
}

TEST(KeyClasses, OfKeysThatNeedNoPermissionOrThatNoneHelpsAreRefusedAsPermissions) {
  const LoadedCampaign campaign = load_campaign(kReference);
  for (const Setting& setting : campaign.settings) {
    const std::string text = refusal([&] { require_changeable(campaign, {setting.key}); });
    const bool of_data = setting.key == "data.valid" || setting.key == "tokenizer.path";
    if (setting.key_class == KeyClass::kSchedule || of_data)
      EXPECT_EQ(text, "accepted") << setting.key;
    else
      EXPECT_THAT(text, AllOf(HasSubstr(setting.key + " is of class " + name_of(setting.key_class)),
                              HasSubstr("--allow-schedule-change")));
  }
  EXPECT_EQ(refusal([&] { require_changeable(campaign, {"data.train", "optimizer.clip"}); }), "accepted");
}

TEST(KeyClasses, OfUnknownPermissionsAreRefusedWithTheNearestKey) {
  const LoadedCampaign campaign = load_campaign(kReference);
  const auto refused = [&](const std::string& key) { return refusal([&] { require_changeable(campaign, {key}); }); };
  EXPECT_THAT(refused("optimizer.clib"), HasSubstr("did you mean optimizer.clip?"));
  EXPECT_THAT(refused("stages.0.lr.peek"), HasSubstr("did you mean stages.0.lr.peak?"));
  EXPECT_THAT(refused("stages.2.tokens"), HasSubstr("did you mean stages.0.tokens?"));
  for (const char* key : {"", "stages.N.tokens", "stages..tokens", "stages.x.tokens", "stages.-1.tokens", "stages.0",
                          "stages.99999999999999999999.tokens", "data.train.0", "optimizer", "nonsense.key"})
    EXPECT_THAT(refused(key), HasSubstr("is no key of this campaign")) << key;
}

TEST(KeyClasses, AreInTheDocumentation) {
  EXPECT_THAT(read_text_file(NEXUS_SOURCE_DIR "/docs/configuration.md"), HasSubstr("\n" + key_classes_markdown()))
      << "put what `nexus config reference --classes` prints there";
}

TEST(Numerics, OfAStageDoNotKnowLaterStages) {
  const LoadedCampaign two = load_campaign_text(kCampaign, "c.yaml");
  const std::string third = ",\n         {name: s2, tokens: 1M, lr: {peak: 1e-4}, grow: {A: 144}}]";
  const LoadedCampaign three = load_campaign_text(with(kCampaign, "}}]", "}}" + third), "c.yaml");
  ASSERT_EQ(three.stage_numerics.size(), 3u);
  EXPECT_EQ(three.stage_numerics[0], two.stage_numerics[0]);
  EXPECT_EQ(three.stage_numerics[1], two.stage_numerics[1]);
  EXPECT_EQ(two.stage_numerics[1].at("stages.1.grow.M"), "112");
  EXPECT_EQ(two.stage_numerics[1].count("stages.0.tokens"), 0u);
  EXPECT_EQ(two.stage_numerics[0].count("checkpoint.every"), 0u);
}

}  // namespace
}  // namespace nexus::testing
