#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/rng.h"
#include "growth/grow.h"
#include "support/expect_error.h"
#include "support/model_rig.h"
#include "support/text_batch.h"
#include "train/step.h"

namespace nexus {
namespace {

ModelConfig stepped_model() {
  ModelConfig config;
  config.d = 32;
  config.layers = 2;
  config.heads = 2;
  config.counts["M"] = 48;
  config.counts["A"] = 64;
  config.counts["F"] = 64;
  config.counts["V"] = 100;
  config.validate();
  return config;
}

void fetch_random(int64_t context, int64_t sample, const Batch& batch, int64_t row) {
  int32_t *tokens = testing::text_row(batch, "tokens", row), *targets = testing::text_row(batch, "targets", row);
  const RandomStream random(3, "text");
  for (int64_t t = 0; t <= context; ++t) {
    const auto id = static_cast<int32_t>(random.below(static_cast<uint64_t>(sample * context + t), 100));
    if (t < context) tokens[t] = id;
    if (t > 0) targets[t - 1] = id;
  }
}

// Trains a fresh model for some steps; returns the losses, and the final weights in `weights`.
std::vector<double> train(const BatchLayout& layout, DType dtype, int steps, std::vector<double>* weights = nullptr,
                          Recompute recompute = Recompute::kNone) {
  const auto backend = make_cpu_backend();
  ProcessGrid grid(make_self_communicator(), 1, 1);
  Model model(stepped_model());
  ParamStore params(*backend, model.table(), dtype);
  params.initialize(9);
  StepRunner runner(*backend, grid, model, params, layout, {}, {recompute});
  AdamW adamw;
  adamw.clip = 1.0;
  Optimizer optimizer(adamw, 0.1, {first_generation(model.config())});
  std::vector<double> losses;
  for (int step = 0; step < steps; ++step) {
    const auto fetch = [&](int64_t sample, const Batch& batch, int64_t row) {
      fetch_random(layout.context, sample, batch, row);
    };
    losses.push_back(runner.run(fetch, optimizer, {step * layout.samples(), 1e-3, 1e-3, {}}).loss);
  }
  EXPECT_EQ(runner.arena_peak_bytes(), StepRunner::arena_bytes(model.config(), dtype, layout, {}, recompute));
  if (weights != nullptr && dtype == DType::kF64) {
    weights->resize(static_cast<size_t>(model.table().flat_count()));
    backend->copy_out(weights->data(), params.master());
  }
  return losses;
}

TEST(Step, LearnsRandomTextByHeart) {
  const BatchLayout layout = make_batch_layout({4 * 16, 4}, 16, 0, 1);
  const auto backend = make_cpu_backend();
  ProcessGrid grid(make_self_communicator(), 1, 1);
  Model model(stepped_model());
  ParamStore params(*backend, model.table(), DType::kF32);
  params.initialize(9);
  StepRunner runner(*backend, grid, model, params, layout, {});
  Optimizer optimizer({}, 0.0, {first_generation(model.config())});
  double first = 0, last = 0;
  for (int step = 0; step < 150; ++step) {
    const auto fetch = [](int64_t sample, const Batch& batch, int64_t row) {
      fetch_random(16, sample % 4, batch, row);
    };
    last = runner.run(fetch, optimizer, {0, 3e-3, 3e-3, {}}).loss;
    if (step == 0) first = last;
  }
  EXPECT_NEAR(first, std::log(100.0), 0.2);  // an untrained model knows nothing: ln V
  EXPECT_LT(last, 0.5);
}

// Micro-batches only cut the sum: gradients of a batch do not depend on how it was cut, up to the order of additions.
TEST(Step, AccumulationEqualsOneLargeBatch) {
  std::vector<double> whole_weights, cut_weights;
  const auto whole = train(make_batch_layout({8 * 32, 8}, 32, 0, 1), DType::kF64, 5, &whole_weights);
  const auto cut = train(make_batch_layout({8 * 32, 2}, 32, 0, 1), DType::kF64, 5, &cut_weights);
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(whole[i], cut[i], 1e-11);
  // Adam divides by the gradient's own size, so rounding of a tiny gradient shows enlarged; 1e-7 of a step of 1e-3
  // each.
  for (size_t i = 0; i < whole_weights.size(); ++i) EXPECT_NEAR(whole_weights[i], cut_weights[i], 1e-8);
}

TEST(Step, RepeatsBitForBit) {
  const BatchLayout layout = make_batch_layout({8 * 32, 4}, 32, 0, 1);
  for (const DType dtype : {DType::kF32, DType::kBF16}) EXPECT_EQ(train(layout, dtype, 6), train(layout, dtype, 6));
}

TEST(Step, RecomputingActivationsChangesNoBit) {
  const BatchLayout layout = make_batch_layout({8 * 32, 4}, 32, 0, 1);
  for (const DType dtype : {DType::kF32, DType::kBF16})
    EXPECT_EQ(train(layout, dtype, 6), train(layout, dtype, 6, nullptr, Recompute::kActivations));
}

TEST(Step, Bf16FollowsF32) {
  const BatchLayout layout = make_batch_layout({8 * 32, 4}, 32, 0, 1);
  const auto wide = train(layout, DType::kF32, 10), narrow = train(layout, DType::kBF16, 10);
  // bf16 keeps 8 bits: a loss near 4.6 is a mean over 256 tokens of values with relative error around 2^-8.
  for (size_t i = 0; i < wide.size(); ++i) EXPECT_NEAR(wide[i], narrow[i], 0.02);
}

TEST(Step, StopsBeforeAnUpdateThatIsNotFiniteAndNamesTheTensor) {
  const auto backend = make_cpu_backend();
  ProcessGrid grid(make_self_communicator(), 1, 1);
  const BatchLayout layout = make_batch_layout({4 * 16, 4}, 16, 0, 1);
  Model model(stepped_model());
  ParamStore params(*backend, model.table(), DType::kF64);
  params.initialize(9);
  const double poison = std::nan("");
  const int victim = model.table().find("layers.1.mlp.w_d");
  ASSERT_GE(victim, 0);
  backend->copy_in(params.weight(victim).flat(5, 1), &poison);
  std::vector<double> before(static_cast<size_t>(model.table().flat_count())), after(before.size());
  backend->copy_out(before.data(), params.master());
  const auto fetch = [](int64_t sample, const Batch& batch, int64_t row) { fetch_random(16, sample, batch, row); };
  Optimizer optimizer({}, 0.0, {first_generation(model.config())});
  StepRunner strict(*backend, grid, model, params, layout, {});
  EXPECT_NEXUS_ERROR(strict.run(fetch, optimizer, {0, 1e-3, 1e-3, {}}), ErrorKind::kNumeric,
                     ::testing::HasSubstr("gradient of "));
  SafetySpec skip;
  skip.nonfinite = NonfiniteAction::kSkip;
  StepRunner lenient(*backend, grid, model, params, layout, skip);
  EXPECT_FALSE(lenient.run(fetch, optimizer, {0, 1e-3, 1e-3, {}}).updated);
  backend->copy_out(after.data(), params.master());
  for (size_t i = 0; i < before.size(); ++i) {
    if (!std::isfinite(before[i])) continue;
    EXPECT_EQ(before[i], after[i]);
  }
  EXPECT_EQ(optimizer.generations()[0].updates1, 0);
}

// What is not finite in the moments passes through the update, whatever loss and gradients are, and no setting can take
// it back: the next step stops before it, and so does whoever asks on the way to a save.
TEST(Step, StopsAfterAnUpdateThatLeftAnythingThatIsNotFiniteAndNamesIt) {
  const auto backend = make_cpu_backend();
  ProcessGrid grid(make_self_communicator(), 1, 1);
  const BatchLayout layout = make_batch_layout({4 * 16, 4}, 16, 0, 1);
  const auto fetch = [](int64_t sample, const Batch& batch, int64_t row) { fetch_random(16, sample, batch, row); };
  SafetySpec skip;
  skip.nonfinite = NonfiniteAction::kSkip;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const float value : {std::nanf(""), INFINITY, -INFINITY}) {
      for (const char* moment : {"moment1", "moment2"}) {
        Model model(stepped_model());
        ParamStore params(*backend, model.table(), dtype);
        params.initialize(9);
        StepRunner runner(*backend, grid, model, params, layout, skip);
        Optimizer optimizer({}, 0.0, {first_generation(model.config())});
        runner.run(fetch, optimizer, {0, 1e-3, 1e-3, {}});
        runner.require_finite_state();
        const ParamSpec& spec = model.table()[model.table().find("layers.1.mlp.w_d")];
        const Tensor& state = moment == std::string("moment1") ? params.moment1() : params.moment2();
        backend->copy_in(state.flat(spec.offset + 5, 1), &value);
        EXPECT_TRUE(runner.run(fetch, optimizer, {4, 1e-3, 1e-3, {}}).updated);
        const std::string named = fmt::format("{} of layers.1.mlp.w_d, element 5, is ", moment);
        EXPECT_NEXUS_ERROR(runner.require_finite_state(), ErrorKind::kNumeric, ::testing::HasSubstr(named));
        EXPECT_NEXUS_ERROR(runner.run(fetch, optimizer, {8, 1e-3, 1e-3, {}}), ErrorKind::kNumeric,
                           ::testing::HasSubstr(named));
      }
    }
  }
}

// Loss and gradient norm are finite, and what the update makes of them is not.
TEST(Step, StopsAfterAnUpdateThatOverflows) {
  const auto backend = make_cpu_backend();
  ProcessGrid grid(make_self_communicator(), 1, 1);
  const BatchLayout layout = make_batch_layout({4 * 16, 4}, 16, 0, 1);
  const auto fetch = [](int64_t sample, const Batch& batch, int64_t row) { fetch_random(16, sample, batch, row); };
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    Model model(stepped_model());
    ParamStore params(*backend, model.table(), dtype);
    params.initialize(9);
    StepRunner runner(*backend, grid, model, params, layout, {});
    Optimizer optimizer({}, 0.0, {first_generation(model.config())});
    // The first update is the learning rate in size: within f32, beyond bf16.
    const double rate = dtype == DType::kBF16 ? 3.398e38 : 1e39;
    EXPECT_TRUE(runner.run(fetch, optimizer, {0, rate, rate, {}}).updated);
    EXPECT_NEXUS_ERROR(runner.require_finite_state(), ErrorKind::kNumeric,
                       ::testing::HasSubstr(dtype == DType::kBF16 ? "the bf16 copy of " : "the weight of "));
  }
}

}  // namespace
}  // namespace nexus
