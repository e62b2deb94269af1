// The workload of a model in campaign files and in checkpoints' states. There are text and point sets
// (tests/support/point_sets_registry.cpp).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "config/schema.h"
#include "model/workload.h"
#include "support/expect_error.h"
#include "train/train_state.h"
#include "unit/config/config_test_support.h"

namespace nexus::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kPoints = with(kCampaign, "V: 512", "workload: point_sets");

TEST(WorkloadKey, OfPointSetsIsReadShownAndComparedAndReadsBack) {
  const LoadedCampaign campaign = load_campaign_text(kPoints, "c.yaml");
  EXPECT_EQ(campaign.spec.model.workload, "point_sets");
  EXPECT_EQ(value_of(campaign, "model.workload"), "point_sets");
  EXPECT_EQ(campaign.stage_numerics[0].at("model.workload"), "point_sets");
  EXPECT_EQ(class_of_key("model.workload"), KeyClass::kFixed);
  EXPECT_EQ(load_campaign_text(campaign.resolved_yaml, "r.yaml").resolved_yaml, campaign.resolved_yaml);
  EXPECT_THAT(describe(campaign.spec.model), HasSubstr("arch nexusformer workload point_sets D 64"));
}

TEST(WorkloadKey, OfTextIsAsIfItWereNotThere) {
  const LoadedCampaign silent = load_campaign_text(kCampaign, "c.yaml");
  const LoadedCampaign told = load_campaign_text(with(kCampaign, "V: 512", "V: 512, workload: text"), "c.yaml");
  EXPECT_EQ(silent.spec.model, told.spec.model);
  EXPECT_EQ(silent.digest, told.digest);
  EXPECT_EQ(silent.stage_numerics, told.stage_numerics);
  EXPECT_THAT(silent.resolved_yaml, Not(HasSubstr("workload")));
  EXPECT_THAT(describe(silent.spec.model), Not(HasSubstr("workload")));
}

TEST(WorkloadKey, ThatIsUnknownIsRefusedWithTheNearest) {
  EXPECT_THAT(refusal_of(with(kPoints, "point_sets", "point_set")),
              HasSubstr("c.yaml:2 key model.workload; did you mean point_sets?"));
}

TEST(WorkloadKey, DecidesWhichKeysAModelHas) {
  const LoadedCampaign text = load_campaign_text(kCampaign, "c.yaml");
  EXPECT_EQ(text.spec.model.count("V"), 512);
  EXPECT_EQ(value_of(text, "model.tie"), "false");
  const LoadedCampaign points = load_campaign_text(kPoints, "c.yaml");
  EXPECT_EQ(value_of(points, "model.V"), "absent");
  EXPECT_EQ(value_of(points, "model.tie"), "absent");
  for (const char* key : {"V: 300", "tie: true"})
    EXPECT_THAT(refusal_of(with(kPoints, "D: 64", std::string("D: 64, ") + key)),
                HasSubstr("belongs to workload text; c.yaml:2 key model."));
}

TEST(WorkloadKey, HasANameThatNoOtherKeyHas) {
  std::set<std::string> names;
  for (const Field<CampaignSpec>& field : campaign_table()) EXPECT_TRUE(names.insert(field.key).second) << field.key;
  for (const Architecture* arch : all_architectures())
    for (const Workload* each : all_workloads())
      for (const ModelKey& key : each->keys()) EXPECT_EQ(arch->find_key(key.name), nullptr) << key.name;
}

TEST(WorkloadKey, OfAStateIsWrittenWhereItIsNotText) {
  ModelConfig points = load_campaign_text(kPoints, "c.yaml").spec.model;
  EXPECT_EQ(model_config_from_json(to_json(points), "x"), points);
  const ModelConfig text = load_campaign_text(kCampaign, "c.yaml").spec.model;
  nlohmann::json document = to_json(text);
  EXPECT_FALSE(document.contains("workload"));
  EXPECT_EQ(document.at("V"), 512);
  EXPECT_EQ(document.at("tie"), false);
  EXPECT_EQ(model_config_from_json(document, "x"), text);
  document["workload"] = "pictures";
  EXPECT_NEXUS_ERROR(model_config_from_json(document, "x"), ErrorKind::kCheckpoint, HasSubstr("pictures"));
}

}  // namespace
}  // namespace nexus::testing
