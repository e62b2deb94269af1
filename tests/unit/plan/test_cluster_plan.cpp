// Plans on a cluster: every figure by hand, and none where something is not known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "plan/cluster_plan.h"
#include "spec/rules.h"
#include "unit/plan/small_campaign.h"

namespace nexus {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kStepTokens = 1 << 16;

// Two stages of 1000 and 500 steps.
CampaignSpec campaign() {
  CampaignSpec spec = small_campaign();
  spec.data.context = 64;
  spec.batch = {kStepTokens, 16};
  spec.parallel.dp = 0;
  spec.slurm.nodes = 4;
  spec.stages.resize(2);
  spec.stages[0].tokens = 1000 * kStepTokens;
  spec.stages[1].name = "s1";
  spec.stages[1].tokens = 500 * kStepTokens;
  spec.checkpoint.every = {Period::Unit::kSeconds, 900};
  return spec;
}

ClusterSpec cluster() {
  ClusterSpec cluster;
  cluster.name = "k";
  cluster.gpus_per_node = 8;
  cluster.node_mtbf_hours = 400;
  cluster.restart_seconds = 300;
  cluster.storage_bytes_per_second = 1e5;
  cluster.watts_per_gpu = 800;
  cluster.price_per_gpu_hour = 2;
  return cluster;
}

ClusterPlan plan_of(const CampaignSpec& spec, const ClusterSpec& on, const MeasuredSpeed& speed) {
  return plan_on_cluster(spec, on, make_forecast(spec, ranks_of_job(spec, on)), speed);
}

std::string refusal_of(const CampaignSpec& spec, const ClusterSpec& on, const MeasuredSpeed& speed) {
  try {
    plan_of(spec, on, speed);
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kConfig ? error.what() : std::string("not kConfig: ") + error.what();
  }
  return "accepted";
}

// 100 steps an hour: stages of 10 and 5 hours.
const MeasuredSpeed kSpeed{{kStepTokens / 36.0}, {}, 2.0};

TEST(ClusterPlan, CountsHoursCostAndFailuresByHand) {
  CampaignSpec spec = campaign();
  spec.account.pue = 1.25;
  const ClusterPlan plan = plan_of(spec, cluster(), kSpeed);
  EXPECT_EQ(plan.nodes, 4);
  EXPECT_EQ(plan.ranks, 32);
  EXPECT_EQ(plan.jobs, 2);
  EXPECT_EQ(plan.job_mtbf_seconds, 100 * 3600);
  ASSERT_THAT(plan.stages, SizeIs(2));
  const StageOnCluster& stage = plan.stages[0];
  EXPECT_DOUBLE_EQ(*stage.training_hours, 10);
  EXPECT_DOUBLE_EQ(*plan.stages[1].training_hours, 5);
  EXPECT_DOUBLE_EQ(*stage.write_seconds, static_cast<double>(stage.checkpoint_bytes) / 1e5);
  EXPECT_EQ(stage.stop_seconds, 2);
  const double share = goodput({360000, 2, *stage.write_seconds, 300}, 900);
  EXPECT_EQ(stage.own->seconds, 900);
  EXPECT_DOUBLE_EQ(*stage.own->goodput, share);
  EXPECT_DOUBLE_EQ(*stage.wall_hours, 10 / share);
  EXPECT_DOUBLE_EQ(*stage.failures, 10 / share / 100);
  EXPECT_DOUBLE_EQ(*stage.gpu_hours, 320 / share);
  EXPECT_DOUBLE_EQ(*stage.node_hours, 40 / share);
  EXPECT_DOUBLE_EQ(*stage.kwh, 320 / share * 0.8 * 1.25);
  EXPECT_DOUBLE_EQ(*stage.money, 640 / share);
  EXPECT_EQ(stage.starts, 1);
  EXPECT_THAT(plan.missing, IsEmpty());
}

TEST(ClusterPlan, HasTheOptimaOfTheFailureModel) {
  const StageOnCluster stage = plan_of(campaign(), cluster(), kSpeed).stages[0];
  const FailureModel model{360000, 2, *stage.write_seconds, 300};
  EXPECT_EQ(stage.best->seconds, best_interval(model));
  EXPECT_EQ(stage.best->goodput, goodput(model, best_interval(model)));
  EXPECT_EQ(stage.young->seconds, young_interval(model));
  EXPECT_EQ(stage.daly->seconds, daly_interval(model));
}

TEST(ClusterPlan, InventsNothing) {
  ClusterSpec bare;
  bare.name = "bare";
  bare.gpus_per_node = 8;
  const ClusterPlan plan = plan_of(campaign(), bare, {});
  EXPECT_THAT(plan.missing, SizeIs(6));
  const nlohmann::json document = cluster_plan_json(plan);
  for (const auto& [key, value] : document["stages"][0].items()) {
    if (key == "name" || key == "checkpoint_bytes") continue;
    if (key == "checkpoint_every")  // what the campaign itself says
      EXPECT_EQ(value, (nlohmann::json{{"seconds", 900.0}, {"goodput", nullptr}}));
    else
      EXPECT_TRUE(value.is_null()) << key << " is " << value;
  }
  for (const auto& [key, value] : document["all"].items()) EXPECT_TRUE(value.is_null()) << key;
}

TEST(ClusterPlan, NamesWhatEachFigureNeeds) {
  ClusterSpec on = cluster();
  on.restart_seconds.reset();
  const ClusterPlan plan = plan_of(campaign(), on, kSpeed);
  EXPECT_THAT(plan.missing, ElementsAre("goodput and wall hours: restart of the cluster"));
  EXPECT_TRUE(plan.stages[0].best && !plan.stages[0].best->goodput && !plan.stages[0].wall_hours);
  EXPECT_DOUBLE_EQ(*plan.stages[0].gpu_hours, 320);  // of the hours of training
}

TEST(ClusterPlan, TakesASaveOfUnknownCopyForOneThatStopsTraining) {
  const ClusterPlan plan = plan_of(campaign(), cluster(), {{1000}, {}, {}});
  EXPECT_EQ(plan.stages[0].stop_seconds, plan.stages[0].write_seconds);
  ASSERT_THAT(plan.missing, SizeIs(1));
  EXPECT_THAT(plan.missing[0], HasSubstr("--save-stop"));
  CampaignSpec synchronous = campaign();
  synchronous.checkpoint.async = false;
  EXPECT_THAT(plan_of(synchronous, cluster(), {{1000}, {}, {}}).missing, IsEmpty());
}

TEST(ClusterPlan, TurnsEveryPeriodIntoTrainingTime) {
  CampaignSpec spec = campaign();
  const auto seconds = [&](const Period& every) {
    spec.checkpoint.every = every;
    return plan_of(spec, cluster(), kSpeed).stages[1].own->seconds;
  };
  EXPECT_DOUBLE_EQ(seconds({Period::Unit::kSteps, 50}), 1800);
  EXPECT_DOUBLE_EQ(seconds({Period::Unit::kTokens, 25 * kStepTokens}), 900);
  EXPECT_DOUBLE_EQ(seconds({}), 5 * 3600);                             // never: the end of the stage
  EXPECT_DOUBLE_EQ(seconds({Period::Unit::kSeconds, 1e6}), 5 * 3600);  // no later than the end
  EXPECT_FALSE(plan_of(spec, cluster(), {}).stages[1].own->goodput == std::nullopt);
  spec.checkpoint.every = {Period::Unit::kSteps, 50};
  EXPECT_FALSE(plan_of(spec, cluster(), {}).stages[1].own);  // steps of unknown length
}

TEST(ClusterPlan, WarnsOfAnIntervalFarFromTheBestOnly) {
  CampaignSpec spec = campaign();
  EXPECT_THAT(plan_of(spec, cluster(), kSpeed).warnings, IsEmpty());
  for (const double every : {20.0, 18000.0}) {
    spec.checkpoint.every = {Period::Unit::kSeconds, every};
    ClusterSpec on = cluster();
    on.restart_seconds.reset();  // not needed for the warning
    const ClusterPlan plan = plan_of(spec, on, kSpeed);
    ASSERT_THAT(plan.warnings, SizeIs(2)) << every;
    EXPECT_THAT(plan.warnings[0], HasSubstr(fmt::format("stage s0: saves every {}", every < 60 ? "0:00:20" : "5:00")));
    EXPECT_THAT(plan.warnings[0],
                HasSubstr(fmt::format("set checkpoint.every to {:.0f}s", plan.stages[0].best->seconds)));
  }
}

TEST(ClusterPlan, CutsStagesByTheShorterTimeLimit) {
  CampaignSpec spec = campaign();
  ClusterSpec on = cluster();
  on.node_mtbf_hours.reset();  // wall time is training time
  on.max_time_seconds = 7200;
  spec.slurm.stop_margin_seconds = 60;
  const StageOnCluster stage = plan_of(spec, on, kSpeed).stages[0];
  const double usable = 7200 - 60 - 300 - *stage.write_seconds;
  EXPECT_EQ(stage.starts, static_cast<int64_t>(std::ceil(36000 / usable)));
  spec.slurm.time_seconds = 3600;
  EXPECT_EQ(plan_of(spec, on, kSpeed).limit_seconds, 3600);
  spec.slurm.time_seconds = 300;
  EXPECT_THAT(refusal_of(spec, on, kSpeed), HasSubstr("leaves no time to train"));
  spec.slurm.chain = SlurmSpec::Chain::kCampaign;
  spec.slurm.time_seconds = 0;
  EXPECT_EQ(plan_of(spec, on, kSpeed).jobs, 1);
}

TEST(ClusterPlan, TakesTheSpeedOfEachStageOrAShareOfThePeak) {
  CampaignSpec spec = campaign();
  EXPECT_EQ(plan_of(spec, cluster(), {{1000, 500}, {}, {}}).stages[1].tokens_per_second, 500);
  spec.account.peak_tflops = 100;
  const Forecast forecast = make_forecast(spec, 32);
  const ClusterPlan plan = plan_on_cluster(spec, cluster(), forecast, {{}, 0.25, {}});
  EXPECT_DOUBLE_EQ(*plan.stages[0].tokens_per_second, 0.25 * 100e12 * 32 / forecast.stages[0].flops_per_token);
}

TEST(ClusterPlan, RefusesSpeedsThatDoNotFit) {
  CampaignSpec spec = campaign();
  EXPECT_THAT(refusal_of(spec, cluster(), {{1, 2, 3}, {}, {}}), HasSubstr("3 rates for 2 stages; --tok-per-s"));
  EXPECT_THAT(refusal_of(spec, cluster(), {{0}, {}, {}}), HasSubstr("must be above 0"));
  EXPECT_THAT(refusal_of(spec, cluster(), {{1}, 0.5, {}}), HasSubstr("given twice"));
  EXPECT_THAT(refusal_of(spec, cluster(), {{}, 0.5, {}}), HasSubstr("set account.peak_tflops"));
  EXPECT_THAT(refusal_of(spec, cluster(), {{}, 1.5, {}}), HasSubstr("no share of the peak"));
  EXPECT_THAT(refusal_of(spec, cluster(), {{1}, {}, -1}), HasSubstr("cannot be negative"));
  spec.checkpoint.async = false;
  EXPECT_THAT(refusal_of(spec, cluster(), {{1}, {}, 1}), HasSubstr("checkpoint.async is false; --save-stop"));
}

TEST(ClusterPlan, RefusesRanksThatTheNodesDoNotHave) {
  CampaignSpec spec = campaign();
  spec.parallel.dp = 8;
  EXPECT_THAT(refusal_of(spec, cluster(), {}), HasSubstr("makes 8 ranks, but 4 nodes of 8 make 32; slurm.nodes"));
  spec.slurm.nodes = 1;
  EXPECT_EQ(ranks_of_job(spec, cluster()), 8);
}

TEST(ClusterPlan, WarnsOfABudgetThatIsTooSmall) {
  CampaignSpec spec = campaign();
  spec.budget.gpu_hours = 400;
  spec.budget.node_hours = 80;
  const ClusterPlan plan = plan_of(spec, cluster(), kSpeed);
  ASSERT_THAT(plan.warnings, SizeIs(1));  // 15 hours of 32 ranks are 480, of 4 nodes 60
  EXPECT_THAT(plan.warnings[0], HasSubstr("budget.gpu_hours of 400 will be spent before the end"));
}

TEST(ClusterPlan, PrintsADashForWhatIsNotKnown) {
  ClusterSpec on = cluster();
  on.price_per_gpu_hour.reset();
  const std::string text = cluster_plan_text(plan_of(campaign(), on, kSpeed));
  EXPECT_THAT(text, HasSubstr("cluster k | nodes 4 of 8 ranks | jobs 2 | time limit - | mean time between failures of "
                              "the job 4d 04:00:00\n"));
  EXPECT_THAT(text, HasSubstr("           -\ns1 "));
  EXPECT_THAT(text, HasSubstr("not known: money: price_per_gpu_hour of the cluster or of account\n"));
}

}  // namespace
}  // namespace nexus
