// A device without room for a stage's buffer: the error names settings that fit, and they do fit.
#include "train/memory_advice.h"

#include <gtest/gtest.h>

#include "accounting/device_memory.h"
#include "core/units.h"
#include "support/expect_error.h"
#include "support/limited_backend.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::LimitedBackend;
using ::testing::Not;

constexpr Recompute kNone = Recompute::kNone, kActivations = Recompute::kActivations;

ModelConfig small_model() {
  ModelConfig config;
  config.d = 32;
  config.layers = 8;
  config.heads = 2;
  config.counts["M"] = 96;
  config.counts["A"] = 128;
  config.counts["F"] = 128;
  config.counts["V"] = 64;
  config.validate();
  return config;
}

// Evaluations of it need more than training: one layer keeps little, and their logits are f32.
ModelConfig shallow_model() {
  ModelConfig config = small_model();
  config.layers = 1;
  config.counts["V"] = 1 << 15;
  return config;
}

// Stages of one rank in f32, two micro-batches a step. With 32 samples of 256 tokens activations outweigh the
// workspaces that the advice makes room for, so that there is a choice.
class Stage {
 public:
  explicit Stage(int64_t micro = 32, Recompute recompute = kNone) : micro_(micro), recompute_(recompute) {}

  MicroBatchSpec spec() const { return {config_, DType::kF32, {256, micro_, 2, 0, 1}, {}, {recompute_, false, true}}; }
  int64_t arena() const { return StepRunner::arena_bytes(config_, DType::kF32, spec().layout, {}, recompute_); }
  // What must be free for the setting to be advised.
  int64_t need() const { return arena() + device_overhead(config_, {DType::kF32, micro_, 256}, {}).pending_bytes(); }
  std::string needs() const { return fmt::format(" (needs {})", format_bytes(need())); }

  // The error on a device with `room` bytes free; empty if there is none.
  std::string refusal(int64_t room) const {
    const auto cpu = make_cpu_backend(1);
    LimitedBackend backend(*cpu, room);
    try {
      const Buffer buffer = allocate_activations(backend, spec());
      EXPECT_EQ(backend.memory().free_bytes, room - buffer.size_bytes());
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kConfig);
      EXPECT_EQ(backend.memory().free_bytes, room);
      return error.what();
    }
    EXPECT_EQ(backend.memory().free_bytes, room);
    return "";
  }

 private:
  ModelConfig config_ = small_model();
  int64_t micro_;
  Recompute recompute_;
};

TEST(MemoryAdvice, IsNotNeededWhereTheArenaFits) {
  const Stage stage(2);
  EXPECT_EQ(stage.refusal(stage.arena()), "");
  EXPECT_NE(stage.refusal(stage.arena() - 1), "");
}

TEST(MemoryAdvice, KeepsTheWordsOfTheDevice) {
  EXPECT_THAT(Stage(2).refusal(1000),
              AllOf(HasSubstr("activations of a micro-batch: "), HasSubstr("1.0 kB are free"), HasSubstr("device 0")));
}

TEST(MemoryAdvice, OffersRecomputationAndTheLargestMicroBatchThatFits) {
  const Stage whole, lean(32, kActivations), half(16), quarter(8);
  ASSERT_GT(lean.need(), half.need());
  ASSERT_GT(whole.arena(), lean.need());
  EXPECT_THAT(whole.refusal(lean.need()), HasSubstr("set precision.recompute to activations" + lean.needs() +
                                                    ", or batch.micro to 16" + half.needs()));
  EXPECT_THAT(whole.refusal(lean.need() - 1), HasSubstr("; set batch.micro to 16" + half.needs()));
  EXPECT_THAT(whole.refusal(half.need() - 1), HasSubstr("; set batch.micro to 8" + quarter.needs()));
  EXPECT_EQ(lean.refusal(lean.need()), "");
  EXPECT_EQ(half.refusal(half.need()), "");
}

TEST(MemoryAdvice, CombinesBothWhereNeitherFitsAlone) {
  const Stage one(1), lean_one(1, kActivations);
  ASSERT_LT(lean_one.need(), one.need());
  EXPECT_THAT(Stage().refusal(lean_one.need()),
              HasSubstr("set precision.recompute to activations and batch.micro to 1" + lean_one.needs()));
}

TEST(MemoryAdvice, SaysThatNothingFits) {
  const Stage lean_one(1, kActivations);
  EXPECT_THAT(Stage().refusal(lean_one.need() - 1),
              AllOf(HasSubstr("even batch.micro 1 needs " + format_bytes(lean_one.need())), HasSubstr("more ranks"),
                    Not(HasSubstr("set "))));
}

TEST(MemoryAdvice, DoesNotOfferWhatIsOnAlready) {
  const Stage lean(32, kActivations), lean_half(16, kActivations);
  EXPECT_THAT(lean.refusal(lean.arena() - 1),
              AllOf(HasSubstr("set batch.micro to 16" + lean_half.needs()), Not(HasSubstr("precision.recompute"))));
}

// 100 samples in two halves of 50: 25 divides them; 12, 6 and 3 do not.
TEST(MemoryAdvice, OffersOnlyWhatDividesTheGlobalBatch) {
  const Stage stage(50);
  EXPECT_THAT(stage.refusal(Stage(12).need()), HasSubstr("batch.micro to 1" + Stage(1).needs()));
}

// What the back end and the communicators took before is not free any more, so nobody makes room for it again.
TEST(MemoryAdvice, CountsOnlyWorkspacesThatAreStillToCome) {
  ModelConfig config = small_model();
  const Sharding sharding{0, 1, 0, 2, false, false};
  const DeviceLoad load{DType::kBF16, 32, 256}, strict{DType::kBF16, 32, 256, true};
  const DeviceOverhead loose = device_overhead(config, load, sharding);
  EXPECT_GT(loose.communication_bytes, 0);
  EXPECT_EQ(loose.pending_bytes(), loose.attention_bytes + loose.scratch_bytes);
  EXPECT_EQ(loose.total_bytes(),
            loose.context_bytes + loose.matmul_bytes + loose.communication_bytes + loose.pending_bytes());
  EXPECT_GT(device_overhead(config, strict, sharding).pending_bytes(), loose.pending_bytes());

  MicroBatchSpec spec{config, DType::kBF16, {256, 32, 2, 0, 2}, sharding, {}};
  spec.options.deterministic = true;
  MicroBatchSpec half = spec;
  half.layout.micro = 16;
  const int64_t need =
      activations_bytes(half) + device_overhead(config, {DType::kBF16, 16, 256, true}, sharding).pending_bytes();
  const auto cpu = make_cpu_backend(1);
  LimitedBackend backend(*cpu, need);
  ASSERT_GT(activations_bytes(spec), need);
  EXPECT_NEXUS_ERROR(allocate_activations(backend, spec), ErrorKind::kConfig,
                     HasSubstr("batch.micro to 16 (needs " + format_bytes(need)));
}

TEST(MemoryAdvice, MakesRoomForAnEvaluationWhereTheStageHasThem) {
  const ModelConfig config = shallow_model();
  MicroBatchSpec spec{config, DType::kBF16, {256, 2, 2, 0, 1}, {}, {}};
  const int64_t training = activations_bytes(spec);
  EXPECT_EQ(training, StepRunner::arena_bytes(config, DType::kBF16, spec.layout));
  spec.options.evaluates = true;
  EXPECT_EQ(activations_bytes(spec), evaluation_bytes(spec));
  EXPECT_GT(activations_bytes(spec), training);

  const auto cpu = make_cpu_backend(1);
  ProcessGrid grid(make_self_communicator(), 1, 1);
  Model model(config);
  ParamStore params(*cpu, model.table(), DType::kBF16);
  StepRunner training_only(*cpu, grid, model, params, spec.layout, {});
  EXPECT_EQ(training_only.arena().capacity_bytes(), training);
  StepRunner both(*cpu, grid, model, params, spec.layout, {}, spec.options);
  EXPECT_EQ(both.arena().capacity_bytes(), evaluation_bytes(spec));
}

TEST(MemoryAdvice, LeavesErrorsOfHostMemoryAlone) {
  const auto cpu = make_cpu_backend(1);
  const Stage absurd(int64_t{1} << 31);  // petabytes
  EXPECT_NEXUS_ERROR(allocate_activations(*cpu, absurd.spec()), ErrorKind::kConfig,
                     AllOf(HasSubstr("cannot allocate"), Not(HasSubstr("needs"))));
}

TEST(MemoryAdvice, ReachesWhoeverMakesAStepRunner) {
  const auto cpu = make_cpu_backend(1);
  const Stage whole, half(16);
  const Model count(small_model());
  const int64_t params_bytes = ParamStore::bytes_for(count.table(), DType::kF32, ParamStore::Use::kTraining);
  LimitedBackend backend(*cpu, params_bytes + half.need());
  ProcessGrid grid(make_self_communicator(), 1, 1);
  Model model(small_model());
  ParamStore params(backend, model.table(), DType::kF32);
  EXPECT_NEXUS_ERROR(StepRunner(backend, grid, model, params, whole.spec().layout, {}), ErrorKind::kConfig,
                     HasSubstr("set batch.micro to 16" + half.needs()));
  const StepRunner runner(backend, grid, model, params, half.spec().layout, {});
  EXPECT_GT(backend.memory().free_bytes, 0);
}

}  // namespace
}  // namespace nexus
