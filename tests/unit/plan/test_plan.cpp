#include <gtest/gtest.h>

#include "accounting/device_memory.h"
#include "plan/plan.h"
#include "support/text_batch.h"
#include "train/step.h"
#include "unit/plan/small_campaign.h"

namespace nexus {
namespace {

CampaignSpec ladder(int64_t m, int64_t a) {
  CampaignSpec spec;
  spec.name = "ladder";
  spec.model.counts["M"] = m;
  spec.model.counts["A"] = a;
  spec.data.context = 2048;
  spec.batch = {1 << 20, 16};
  spec.stages.resize(1);
  spec.stages[0].name = "s";
  spec.stages[0].tokens = 1000000000;
  return spec;
}

// D=768, L=12, F=2048, V=32000, untied: per layer q, k, v, o of D M + M A + A D, the MLP D M + M F + F D, two norms.
int64_t ladder_params(int64_t m, int64_t a) {
  constexpr int64_t d = 768, f = 2048, v = 32000;
  return 12 * (4 * (d * m + m * a + a * d) + d * m + m * f + f * d + 2 * d) + d + 2 * v * d;
}

TEST(Plan, ParameterCountsOfTheLadderAreTheFormulaToTheLastDigit) {
  const struct {
    int64_t m, a;
    double millions;  // the ladder of configs/models
  } rungs[] = {{640, 832, 169.5},   {1024, 1152, 239.5}, {1152, 1664, 302.8},
               {1408, 2048, 381.4}, {1664, 2176, 439.6}, {2176, 2944, 637.8}};
  for (const auto& rung : rungs) {
    const StageForecast stage = make_forecast(ladder(rung.m, rung.a), 1).stages[0];
    EXPECT_EQ(stage.params, ladder_params(rung.m, rung.a));
    EXPECT_NEAR(static_cast<double>(stage.params) / 1e6, rung.millions, 0.05);
  }
}

TEST(Plan, FlopsPerTokenOfThePapersShape) {
  CampaignSpec spec = ladder(1024, 1280);
  EXPECT_NEAR(make_forecast(spec, 1).stages[0].flops_per_token / 1e9, 1.469, 0.0005);
  spec.data.context = 4096;
  EXPECT_NEAR(make_forecast(spec, 1).stages[0].flops_per_token / 1e9, 1.582, 0.0005);
}

TEST(Plan, StepsTokensAndFlopsAddUp) {
  CampaignSpec spec = ladder(640, 832);
  spec.stages.push_back(spec.stages[0]);
  spec.stages[1].grow.widths = {{"M", 704}};
  const Forecast forecast = make_forecast(spec, 4);
  EXPECT_EQ(forecast.accumulation, (1 << 20) / (2048 * 16 * 4));
  EXPECT_EQ(forecast.stages[0].steps, 954);  // 1e9 / 2^20 rounded up
  EXPECT_EQ(forecast.tokens(), 2 * 954 * (int64_t{1} << 20));
  EXPECT_DOUBLE_EQ(forecast.flops(), forecast.stages[0].flops + forecast.stages[1].flops);
  EXPECT_EQ(forecast.stages[0].memory.growth_bytes, 0);
  EXPECT_GT(forecast.stages[1].memory.growth_bytes, forecast.stages[1].memory.params_bytes);
}

// The same campaign that is planned is run: what the step allocates is what was planned, to the byte.
void expect_what_a_step_allocates(Recompute recompute) {
  CampaignSpec spec = small_campaign();
  spec.precision.recompute = recompute;
  spec.data.context = 48;
  spec.batch = {48 * 6, 3};
  spec.stages[0].tokens = 1000;
  const StageForecast stage = make_forecast(spec, 1).stages[0];
  const auto backend = make_cpu_backend();
  ProcessGrid grid(make_self_communicator(), 1, 1);
  Model model(spec.model_of_stage(0));
  ParamStore params(*backend, model.table(), DType::kF32);
  params.initialize(1);
  StepRunner runner(*backend, grid, model, params, make_batch_layout(spec.batch, 48, 0, 1), {}, {recompute});
  Optimizer optimizer({}, 0, {Generation{{{"M", 80}, {"A", 96}}, 0, 0}});
  const auto fetch = [](int64_t, const Batch& batch, int64_t row) {
    for (const char* field : {"tokens", "targets"})
      for (int t = 0; t < 48; ++t) testing::text_row(batch, field, row)[t] = t;
  };
  runner.run(fetch, optimizer, {0, 1e-3, 1e-3, {}});
  EXPECT_EQ(params.size_bytes() + runner.arena_peak_bytes(), stage.memory.training_bytes());
}
TEST(Plan, TrainingMemoryIsWhatAStepAllocates) {
  expect_what_a_step_allocates(Recompute::kNone);
}
TEST(Plan, TrainingMemoryIsWhatAStepAllocatesThatRecomputes) {
  expect_what_a_step_allocates(Recompute::kActivations);
}

// Logits of an evaluation are f32: of a shallow model in bf16 they outweigh what training keeps.
TEST(Plan, PeakHasTheLargerOfTrainingAndEvaluation) {
  CampaignSpec spec = ladder(640, 832);
  spec.precision.compute = DType::kBF16;
  spec.model.layers = 1;
  spec.model.counts["V"] = 1 << 20;
  const MemoryPlan without = make_forecast(spec, 1).stages[0].memory;
  EXPECT_EQ(without.evaluation_bytes, 0);
  EXPECT_EQ(without.peak_bytes(), without.training_bytes() + without.snapshot_bytes);
  spec.data.valid = "valid";
  const MemoryPlan with = make_forecast(spec, 1).stages[0].memory;
  EXPECT_EQ(with.training_bytes(), without.training_bytes());
  EXPECT_GT(with.evaluation_bytes, with.activations_bytes);
  EXPECT_EQ(with.peak_bytes(), with.params_bytes + with.evaluation_bytes + with.snapshot_bytes);
}

TEST(Plan, RecomputationTakesMemoryAndWithTensorParallelismSendsMore) {
  CampaignSpec spec = ladder(1024, 1152);
  spec.parallel.tp = 2;
  spec.data.valid = "valid";
  const GridForecast keeping = make_forecast(spec, 2).stages[0].grids[0];
  spec.precision.recompute = Recompute::kActivations;
  const GridForecast recomputing = make_forecast(spec, 2).stages[0].grids[0];
  EXPECT_LT(recomputing.memory.activations_bytes, keeping.memory.activations_bytes);
  EXPECT_EQ(recomputing.memory.evaluation_bytes, keeping.memory.evaluation_bytes);
  EXPECT_GT(recomputing.tp_bytes, keeping.tp_bytes);
}

TEST(Plan, OfAGpuAddsWhatTheDeviceNeedsAndLeavesOutHostMemory) {
  CampaignSpec spec = ladder(1024, 1152);
  spec.precision.compute = DType::kBF16;
  spec.stages.push_back(spec.stages[0]);
  spec.stages[1].grow.widths = {{"M", 1408}};
  const Forecast host = make_forecast(spec, 4), gpu = make_forecast(spec, 4, PlannedDevice::kCuda);
  const MemoryPlan& a = host.stages[0].memory;
  const MemoryPlan& b = gpu.stages[0].memory;
  EXPECT_EQ(a.device_bytes, 0);
  EXPECT_EQ(b.training_bytes(), a.training_bytes());
  EXPECT_EQ(b.peak_bytes(), b.training_bytes() + b.device_bytes);  // the larger arena is training's
  EXPECT_EQ(a.peak_bytes(), a.training_bytes() + a.snapshot_bytes);
  // cuDNN's dQ in f32 and two numbers a row: 16 samples, 12 heads of 64, context 2048; one communicator, of dp.
  const int64_t attention = 16 * 12 * 2048 * int64_t{64 + 2} * 4;
  const DeviceOverhead overhead =
      device_overhead(gpu.stages[0].model, {DType::kBF16, 16, 2048}, {0, 1, 0, 4, true, false});
  EXPECT_EQ(overhead.attention_bytes, attention);
  EXPECT_GT(overhead.communication_bytes, 0);
  EXPECT_EQ(b.device_bytes, overhead.total_bytes());
  EXPECT_LE(gpu.stages[1].memory.growth_bytes, host.stages[1].memory.growth_bytes);
  EXPECT_EQ(forecast_json(gpu)["device"], "cuda");
  EXPECT_EQ(forecast_json(gpu)["stages"][0]["memory_bytes"]["device"], b.device_bytes);
  EXPECT_NE(forecast_text(gpu).find("of the GPU for CUDA"), std::string::npos);
}

TEST(Plan, OfOneGpuInF32HasNeitherCommunicatorsNorAttentionWorkspace) {
  ModelConfig config;
  config.validate();
  const DeviceOverhead f32 = device_overhead(config, {DType::kF32, 16, 1000}, {});
  EXPECT_EQ(f32.attention_bytes + f32.communication_bytes, 0);
  const DeviceOverhead loose = device_overhead(config, {DType::kBF16, 1, 1000}, {});
  const DeviceOverhead strict = device_overhead(config, {DType::kBF16, 1, 1000, true}, {});
  EXPECT_EQ(strict.attention_bytes - loose.attention_bytes, 12 * 1024 * 1024 * 2);  // whole tiles of 128 rows
}

TEST(Plan, RefusesAGpuInF64AndOtherDevices) {
  CampaignSpec spec = ladder(640, 832);
  spec.precision.compute = DType::kF64;
  EXPECT_THROW(make_forecast(spec, 1, PlannedDevice::kCuda), Error);
  EXPECT_THROW(planned_device("tpu"), Error);
  EXPECT_EQ(planned_device("cuda"), PlannedDevice::kCuda);
}

// Four ranks: the campaign's own grid first, then the others that the model allows, each with its own figures.
TEST(Plan, ComparesTheGridsOfItsRanks) {
  CampaignSpec spec = ladder(1024, 1152);
  spec.parallel.tp = 2;
  const Forecast forecast = make_forecast(spec, 4);
  EXPECT_EQ(forecast.dp, 2);
  EXPECT_TRUE(forecast.zero && forecast.sequence);
  const std::vector<GridForecast>& grids = forecast.stages[0].grids;
  ASSERT_EQ(grids.size(), 3u);
  EXPECT_EQ(grids[0].tp, 2);
  EXPECT_EQ(grids[1].tp, 1);
  EXPECT_EQ(grids[2].tp, 4);
  EXPECT_EQ(grids[1].tp_bytes, 0);
  EXPECT_EQ(grids[2].dp_bytes, 0);
  // Tensor parallelism buys memory and pays with bytes.
  EXPECT_LT(grids[2].memory.training_bytes(), grids[0].memory.training_bytes());
  EXPECT_LT(grids[0].memory.training_bytes(), grids[1].memory.training_bytes());
  EXPECT_GT(grids[2].tp_bytes, grids[0].tp_bytes);
  // ZeRO-1 in f32 and four ranks: weights and gradients whole, master and two moments a quarter: 8 + 12 / 4 bytes.
  const auto params = static_cast<double>(forecast.stages[0].params);
  EXPECT_NEAR(static_cast<double>(grids[1].memory.params_bytes) / params, 11.0, 1e-3);
  EXPECT_NE(forecast_text(forecast).find("<- this campaign"), std::string::npos);
  EXPECT_EQ(forecast_json(forecast)["stages"][0]["grids"].size(), 3u);
}

TEST(Plan, RefusesRanksThatDoNotFormTheGrid) {
  CampaignSpec spec = ladder(1024, 1152);
  spec.parallel.tp = 2;
  EXPECT_THROW(make_forecast(spec, 3), Error);
  spec.parallel.tp = 5;  // twelve heads
  EXPECT_THROW(make_forecast(spec, 5), Error);
}

}  // namespace
}  // namespace nexus
