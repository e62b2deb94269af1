// The resolved document, the reference, and the files under configs/.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/hash.h"
#include "model/model.h"
#include "unit/config/config_test_support.h"

namespace nexus::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const std::string kConfigs = NEXUS_SOURCE_DIR "/configs";

TEST(Resolved, LoadsToItself) {
  const LoadedCampaign campaign = load_campaign_text(kCampaign, "c.yaml");
  const LoadedCampaign again = load_campaign_text(campaign.resolved_yaml, "resolved.yaml");
  EXPECT_EQ(again.resolved_yaml, campaign.resolved_yaml);
  EXPECT_EQ(again.digest, campaign.digest);
  EXPECT_EQ(again.stage_numerics, campaign.stage_numerics);
  EXPECT_EQ(campaign.digest, hash_text(campaign.resolved_yaml));
}

TEST(Resolved, DoesNotDependOnSpelling) {
  const LoadedCampaign campaign = load_campaign_text(kCampaign, "c.yaml");
  const std::string spelled =
      with(with(with(kCampaign, "8Ki", "'8192'"), "1M", "1000K"), "M: 96, A: 128", "A: 128, M: 96");
  EXPECT_EQ(load_campaign_text(spelled, "c.yaml").resolved_yaml, campaign.resolved_yaml);
}

TEST(Resolved, KeepsTextThatLooksLikeSomethingElse) {
  for (const char* name : {"no", "null", "1234", "1e5", "0x10", "007", "true", "x", "2024-01-01"}) {
    const LoadedCampaign campaign =
        load_campaign_text(with(kCampaign, "small", std::string("'") + name + "'"), "c.yaml");
    EXPECT_EQ(campaign.spec.name, name);
    const LoadedCampaign again = load_campaign_text(campaign.resolved_yaml, "r.yaml");
    EXPECT_EQ(again.spec.name, name);
    EXPECT_EQ(nlohmann::json::parse(show_as_json(campaign))["settings"][0]["value"], name);
  }
}

TEST(Resolved, KeepsPathsWithQuotesAndUmlauts) {
  const LoadedCampaign campaign = load_campaign_text(with(kCampaign, "tok/valid", "'a b/\"ö: #,%'"), "c.yaml");
  EXPECT_EQ(campaign.spec.data.valid, "a b/\"ö: #,%");
  EXPECT_EQ(load_campaign_text(campaign.resolved_yaml, "r.yaml").spec.data.valid, campaign.spec.data.valid);
}

TEST(Shown, HasTheSourceOfEveryValue) {
  const LoadedCampaign campaign = load_campaign_text(kCampaign, "c.yaml");
  const std::string text = show_with_sources(campaign);
  EXPECT_THAT(text, HasSubstr("  D: 64                                 # c.yaml:2\n"));
  EXPECT_THAT(text, HasSubstr("  - name: s1                            # c.yaml:6\n"));
  EXPECT_THAT(text, HasSubstr("  norm: l2                              # default\n"));
  EXPECT_EQ(load_campaign_text(text, "shown.yaml").resolved_yaml, campaign.resolved_yaml);
}

TEST(Reference, IsWhatTheCodePrints) {
  EXPECT_EQ(read_text_file(kConfigs + "/reference.yaml"), reference_yaml())
      << "run: nexus config reference > configs/reference.yaml";
}

TEST(Reference, LoadsWithoutWarnings) {
  const LoadedCampaign campaign = load_campaign(kConfigs + "/reference.yaml");
  EXPECT_TRUE(campaign.warnings.empty());
  EXPECT_EQ(campaign.spec.stages.size(), 2u);
}

TEST(Campaigns, ThatWeShipAllLoad) {
  int files = 0;
  for (const auto& entry : fs::directory_iterator(kConfigs + "/campaigns")) {
    EXPECT_NO_THROW(load_campaign(entry.path().string())) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 4);
}

// The ladder of configs/models, in millions of parameters to one decimal.
TEST(Ladder, HasTheParametersThatItsNamesSay) {
  const std::map<std::string, std::string> ladder = {{"nexus-170m", "169.5"}, {"nexus-240m", "239.5"},
                                                     {"nexus-300m", "302.8"}, {"nexus-380m", "381.4"},
                                                     {"nexus-440m", "439.6"}, {"nexus-640m", "637.8"}};
  for (const auto& [name, millions] : ladder) {
    const LoadedCampaign campaign =
        load_campaign(kConfigs + "/reference.yaml", {kConfigs + "/models/" + name + ".yaml"},
                      {"stages=[{name: s0, tokens: 1B, lr: {peak: 1e-3}}]"});
    const Model model(campaign.spec.model);
    EXPECT_EQ(fmt::format("{:.1f}", static_cast<double>(model.table().count()) / 1e6), millions) << name;
  }
}

}  // namespace
}  // namespace nexus::testing
