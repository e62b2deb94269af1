// The rules themselves; tests/unit/config/error_test.cpp goes through them all with file, line and key.
#include "spec/rules.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;

CampaignSpec sound() {
  CampaignSpec spec;
  spec.name = "sound";
  spec.data.context = 64;
  spec.data.train = {{"tok/train", 1}};
  spec.batch = {4096, 4};
  spec.stages.resize(2);
  for (size_t i = 0; i < 2; ++i) {
    spec.stages[i].name = fmt::format("s{}", i);
    spec.stages[i].tokens = 1'000'000;
  }
  return spec;
}

TEST(Rules, AcceptWhatIsSoundAndCompleteTheModel) {
  CampaignSpec spec = sound();
  EXPECT_TRUE(check_rules(spec).empty());
  EXPECT_EQ(spec.model.kv_heads, spec.model.heads);
}

TEST(Rules, RanksOfAJobAreThoseThatTheGridHas) {
  CampaignSpec spec = sound();
  ClusterSpec cluster;
  cluster.tasks_per_node = 4;
  spec.slurm.nodes = 3;
  EXPECT_EQ(ranks_of_job(spec, cluster), 12);  // dp is auto
  spec.parallel.tp = 2;
  EXPECT_EQ(ranks_of_job(spec, cluster), 12);
  spec.parallel.dp = 6;
  EXPECT_EQ(ranks_of_job(spec, cluster), 12);
  spec.parallel.dp = 3;
  EXPECT_NEXUS_ERROR(
      ranks_of_job(spec, cluster), ErrorKind::kConfig,
      HasSubstr("parallel.dp 3 times parallel.tp 2 makes 6 ranks, but 3 nodes of 4 make 12; slurm.nodes"));
  spec.parallel = {};
  spec.parallel.tp = 8;
  EXPECT_NEXUS_ERROR(ranks_of_job(spec, cluster), ErrorKind::kConfig, HasSubstr("parallel.tp"));
  spec.slurm.nodes = int64_t{1} << 40;
  EXPECT_NEXUS_ERROR(ranks_of_job(spec, cluster), ErrorKind::kConfig, HasSubstr("too many"));
}

TEST(Rules, SayWhatIsOddOnceWithItsKey) {
  CampaignSpec spec = sound();
  spec.data.train.clear();
  spec.model.counts["M"] = 512;  // below D
  spec.stages[1].grow.widths = {{"A", 2048}};
  const std::vector<Advice> advice = check_rules(spec);
  ASSERT_EQ(advice.size(), 2u);
  EXPECT_EQ(advice[0].key, "model.M");
  EXPECT_EQ(advice[1].key, "data.train");
}

TEST(Rules, NameTheKeyOfWhatCannotWork) {
  const auto refused = [](const auto& change, const std::string& text) {
    CampaignSpec spec = sound();
    change(spec);
    EXPECT_NEXUS_ERROR(check_rules(spec), ErrorKind::kConfig, HasSubstr(text));
  };
  refused([](CampaignSpec& spec) { spec.batch.global_tokens = 1000; }, "; batch.global_tokens; set it to 768 or 1024");
  refused([](CampaignSpec& spec) { spec.parallel.dp = 32; }, "* dp 32 = 8192; batch.global_tokens; set it to 8192");
  refused([](CampaignSpec& spec) { spec.parallel.tp = 3, spec.model.heads = 3, spec.model.d = 768; },
          "M = 1024 does not divide by parallel.tp = 3; model.M");
  refused([](CampaignSpec& spec) { spec.stages[1].grow.widths = {{"M", 64}}; }, "; stages.1.grow.M; growth only adds");
  refused([](CampaignSpec& spec) { spec.budget.kwh = 1; }, "; budget.kwh; ");
  refused(
      [](CampaignSpec& spec) {
        spec.optimizer.lr_scale = {{"w_b", 2.0}};
      },
      "this model has no 'w_b'; optimizer.lr_scale.w_b; did you mean w_");
  refused([](CampaignSpec& spec) { spec.optimizer.lr_scale = {{"w_a", 2.0}, {"value", 2.0}}; }, "lr_scale.value; ");
}

TEST(Rules, OfASequenceHoldOnEveryGrid) {
  CampaignSpec spec = sound();
  spec.data.context = 33;
  EXPECT_NO_THROW(spec.check_tensor_parallel(1));
  EXPECT_NEXUS_ERROR(spec.check_tensor_parallel(2), ErrorKind::kConfig,
                     HasSubstr("data.context = 33 does not divide by parallel.tp = 2"));
  spec.parallel.sequence = false;
  EXPECT_NO_THROW(spec.check_tensor_parallel(2));
}

TEST(Rules, OfNamesWantStagesAndFolders) {
  const auto refused = [](const auto& change, const std::string& text) {
    CampaignSpec spec = sound();
    change(spec);
    EXPECT_NEXUS_ERROR(check_names(spec), ErrorKind::kConfig, HasSubstr(text));
  };
  EXPECT_NO_THROW(check_names(sound()));
  refused([](CampaignSpec& spec) { spec.stages.clear(); }, "there are no stages; stages; ");
  refused([](CampaignSpec& spec) { spec.name = "../x"; }, "name '../x' cannot be a folder name; name; ");
  refused([](CampaignSpec& spec) { spec.stages[1].name = ".s1"; }, "cannot be a folder name; stages.1.name; ");
  refused([](CampaignSpec& spec) { spec.stages[1].name = "s0"; }, "stages 0 and 1 are both named 's0'");
}

}  // namespace
}  // namespace nexus
