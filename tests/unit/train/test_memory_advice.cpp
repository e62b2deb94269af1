// A device without room for a stage's buffers: the error names settings that fit, and they do fit.
#include "train/memory_advice.h"

#include <gtest/gtest.h>

#include "accounting/device_memory.h"
#include "core/units.h"
#include "support/expect_error.h"
#include "support/limited_backend.h"
#include "train/evaluate.h"

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
  config.m = 96;
  config.a = 128;
  config.f = 128;
  config.vocab = 64;
  config.validate();
  return config;
}

// Stages of one rank in f32, two micro-batches a step. With 32 samples of 256 tokens activations outweigh the
// workspaces that the advice makes room for, so that there is a choice.
class Stage {
 public:
  explicit Stage(int64_t micro = 32, Recompute recompute = kNone) : micro_(micro), recompute_(recompute) {}

  MicroBatchSpec spec() const { return {config_, DType::kF32, {256, micro_, 2, 0, 1}, {}, recompute_}; }
  int64_t arena() const { return StepRunner::arena_bytes(config_, DType::kF32, spec().layout, {}, recompute_); }
  // What must be free for the setting to be advised.
  int64_t need() const {
    return arena() + evaluation_bytes(spec()) +
           device_overhead(config_, {DType::kF32, micro_, 256}, {}).workspace_bytes();
  }
  std::string needs() const { return fmt::format(" (needs {})", format_bytes(need())); }

  // The error on a device with `room` bytes free; empty if there is none.
  std::string refusal(int64_t room) const {
    return refused(room, [this](Backend& backend) { return allocate_activations(backend, spec()); });
  }
  std::string evaluation_refusal(int64_t room) const {
    return refused(room, [this](Backend& backend) { return allocate_evaluation(backend, spec()); });
  }

 private:
  template <typename Allocate>
  static std::string refused(int64_t room, Allocate allocate) {
    const auto cpu = make_cpu_backend(1);
    LimitedBackend backend(*cpu, room);
    try {
      const Buffer buffer = allocate(backend);
      EXPECT_EQ(backend.memory().free_bytes, room - buffer.size_bytes());
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kConfig);
      EXPECT_EQ(backend.memory().free_bytes, room);
      return error.what();
    }
    EXPECT_EQ(backend.memory().free_bytes, room);
    return "";
  }

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

TEST(MemoryAdvice, ForAnEvaluationIsASmallerMicroBatch) {
  const Stage whole(8), quarter(2);
  const int64_t room = evaluation_bytes(quarter.spec());
  EXPECT_THAT(whole.evaluation_refusal(room), AllOf(HasSubstr("an evaluation micro-batch: "),
                                                    HasSubstr("set batch.micro to 2 (needs " + format_bytes(room))));
  EXPECT_EQ(quarter.evaluation_refusal(room), "");
  EXPECT_THAT(whole.evaluation_refusal(1000), HasSubstr("even batch.micro 1 needs "));
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
