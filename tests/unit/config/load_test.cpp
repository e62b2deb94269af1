// Merging, provenance, defaults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "config/schema.h"
#include "core/files.h"
#include "support/temp_folder.h"
#include "unit/config/config_test_support.h"
#include "unit/growth/growth_tables.h"

namespace nexus::testing {
namespace {

class LoadCampaign : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    write_file_durably(folder_ / name, text);
    return folder_ / name;
  }

  TempFolder folder_;
};

TEST_F(LoadCampaign, FillsTheSpecFromTheFile) {
  const LoadedCampaign campaign = load_campaign(write("c.yaml", kCampaign));
  const CampaignSpec& spec = campaign.spec;
  EXPECT_EQ(spec.name, "small");
  EXPECT_EQ(spec.out, "runs/small");
  EXPECT_EQ(spec.model.d, 64);
  EXPECT_EQ(spec.model.count("M"), 96);
  EXPECT_EQ(spec.model.kv_heads, 4);
  EXPECT_EQ(spec.batch.global_tokens, 8192);
  ASSERT_EQ(spec.data.train.size(), 1u);
  EXPECT_EQ(spec.data.train[0].path, "tok/train");
  EXPECT_EQ(spec.data.valid, "tok/valid");
  ASSERT_EQ(spec.stages.size(), 2u);
  EXPECT_EQ(spec.stages[1].tokens, 2000000);
  EXPECT_EQ(spec.stages[1].grow.widths.at("M"), 112);
  EXPECT_EQ(campaign.file_text, kCampaign);
}

TEST_F(LoadCampaign, LaysFilesThenAssignmentsThenOutOverTheFile) {
  const std::string first = write("c.yaml", kCampaign);
  const std::string second = write("more.yaml", "# a fragment\nmodel: {M: 100, A: 144}\nseed: 7\n");
  const LoadedCampaign campaign = load_campaign(
      first, {second}, {"model.A=160", "stages.1.tokens=3M", "optimizer.betas=[0.8, 0.9]"}, "elsewhere/%name");
  EXPECT_EQ(campaign.spec.model.d, 64);
  EXPECT_EQ(campaign.spec.model.count("M"), 100);
  EXPECT_EQ(campaign.spec.model.count("A"), 160);
  EXPECT_EQ(campaign.spec.stages[1].tokens, 3000000);
  EXPECT_EQ(campaign.spec.optimizer.beta1, 0.8);
  EXPECT_EQ(campaign.spec.out, "elsewhere/small");
  EXPECT_EQ(source_of(campaign, "model.D"), first + ":2");
  EXPECT_EQ(source_of(campaign, "model.M"), second + ":2");
  EXPECT_EQ(source_of(campaign, "seed"), second + ":3");
  EXPECT_EQ(source_of(campaign, "model.A"), "command line");
  EXPECT_EQ(source_of(campaign, "stages.1.tokens"), "command line");
  EXPECT_EQ(source_of(campaign, "stages.1.name"), first + ":6");
  EXPECT_EQ(source_of(campaign, "out"), "command line");
  EXPECT_EQ(source_of(campaign, "model.norm"), "default");
}

TEST_F(LoadCampaign, ReplacesListsAsAWhole) {
  const std::string first = write("c.yaml", kCampaign);
  const std::string second = write("more.yaml", "stages: [{name: only, tokens: 5M, lr: {peak: 1e-4}}]\n");
  const LoadedCampaign campaign = load_campaign(first, {second});
  ASSERT_EQ(campaign.spec.stages.size(), 1u);
  EXPECT_EQ(campaign.spec.stages[0].name, "only");
  EXPECT_EQ(load_campaign(first, {}, {"data.train=[]"}).spec.data.train.size(), 0u);
}

TEST_F(LoadCampaign, MergesAMapGivenOnTheCommandLine) {
  const LoadedCampaign campaign = load_campaign(write("c.yaml", kCampaign), {}, {"stages.1.grow={A: 144}"});
  EXPECT_EQ(campaign.spec.stages[1].grow.widths.at("M"), 112);
  EXPECT_EQ(campaign.spec.stages[1].grow.widths.at("A"), 144);
}

TEST_F(LoadCampaign, NamesTheFileInWhichTheMistakeIs) {
  const std::string first = write("c.yaml", kCampaign);
  const std::string second = write("more.yaml", "\n\nmodel: {H: 5}\n");
  EXPECT_THAT(refusal([&] { load_campaign(first, {second}); }),
              ::testing::HasSubstr("; " + second + ":3 key model.H; "));
  EXPECT_THAT(refusal([&] { load_campaign(first, {}, {"model.H=5"}); }),
              ::testing::HasSubstr("; command line key model.H; "));
}

TEST_F(LoadCampaign, AcceptsNullForAMapWithoutKeys) {
  EXPECT_EQ(load_campaign(write("c.yaml", kCampaign + "tokenizer: null\neval:\n")).spec.tokenizer, "");
}

TEST(Defaults, OfAGrowthPolicyAreItsOwn) {
  const testing::PolicyOf policy(testing::same, testing::zero);
  StageSpec stage;
  stage.grow.policy = &policy;
  std::map<std::string, std::string> presets;
  for (const Field<StageSpec>& field : stage_table()) presets[field.key] = field.preset_for(stage, {});
  EXPECT_EQ(presets["grow.new.warmup"], "5%");
  EXPECT_EQ(presets["grow.new.lr_mult"], "1");
}

TEST_F(LoadCampaign, RefusesANormScaleWithoutANorm) {
  const std::string path = write("c.yaml", kCampaign);
  EXPECT_THAT(refusal([&] {
                load_campaign(path, {}, {"model.norm=none", "stages.1.grow={M: 112, norm_scale: 5%}"});
              }),
              ::testing::HasSubstr("key stages.1.grow.norm_scale; remove it"));
}

// Runs that began before these keys were known must find their settings again.
TEST_F(LoadCampaign, RecordsLaterKeysOfAGrowthOnlyWhereTheyAreNotTheirDefaults) {
  const auto recorded = [&](const std::string& growth) {
    return load_campaign(write("c.yaml", kCampaign), {}, {"stages.1.grow=" + growth}).stage_numerics[1];
  };
  const StageNumerics plain = recorded("{A: 144}");
  EXPECT_EQ(plain, recorded("{A: 144, old: {lr_mult: 1}}"));
  EXPECT_EQ(plain.count("stages.1.grow.old.lr_mult"), 0u);
  EXPECT_EQ(plain.at("stages.1.grow.new.lr_mult"), "1");
  const StageNumerics asym =
      recorded("{A: 144, old: {lr_mult: 0}, new: {warmup: 2%, warmup_from: 1, warmup_decay: false}}");
  EXPECT_EQ(asym.at("stages.1.grow.old.lr_mult"), "0");
  EXPECT_EQ(asym.at("stages.1.grow.new.warmup_from"), "1");
  EXPECT_EQ(asym.at("stages.1.grow.new.warmup_decay"), "false");
}

TEST(Defaults, OfTokenformerAreItsOwn) {
  const LoadedCampaign campaign = load_campaign_text(
      "name: t\n"
      "model: {arch: tokenformer, D: 64, L: 2, H: 4, V: 512, n_qkv: 32, n_proj: 32, n_ffn: 64}\n"
      "stages: [{name: a, tokens: 100M, lr: {peak: 1e-3}},\n"
      "         {name: b, tokens: 100M, lr: {peak: 1e-3}, grow: {n_ffn: 128}}]\n",
      "c.yaml");
  EXPECT_TRUE(campaign.spec.model.flag("tie"));
  EXPECT_EQ(campaign.spec.model.rotary_share, 0.25);
  EXPECT_EQ(campaign.spec.model.count("scale_ffn"), 64);
  EXPECT_EQ(campaign.spec.stages[1].grow.policy->name(), "zero_key_fixed_scale");
  EXPECT_EQ(value_of(campaign, "model.M"), "absent");
}

TEST(Defaults, OfTransformerLeaveOutWhatItLacks) {
  const LoadedCampaign campaign = load_campaign_text(
      "name: t\nmodel: {arch: transformer}\nstages: [{name: a, tokens: 100M, lr: {peak: 1e-3}}]\n", "c.yaml");
  EXPECT_EQ(value_of(campaign, "model.mlp"), "swiglu");
  EXPECT_EQ(value_of(campaign, "model.M"), "absent");
  EXPECT_EQ(value_of(campaign, "model.norm"), "absent");
}

// Facts that stand twice, in the table and in the structs, must agree.
template <typename Spec>
void expect_presets_of_struct(const Table<Spec>& table, const std::vector<std::string>& exceptions) {
  for (const Field<Spec>& field : table) {
    const bool excepted = std::find(exceptions.begin(), exceptions.end(), field.key) != exceptions.end();
    if (field.preset.empty() || excepted) continue;
    Spec spec, untouched;
    field.set(spec, parse_yaml(field.preset, "preset"), field.key);
    EXPECT_EQ(field.get(spec), field.get(untouched)) << field.key;
  }
}

TEST(Defaults, OfTheTableAreThoseOfTheStructs) {
  expect_presets_of_struct(campaign_table(), {"out"});  // the folder is named after the run
  expect_presets_of_struct(stage_table(), {});
  expect_presets_of_struct(dataset_table(), {});
}

}  // namespace
}  // namespace nexus::testing
