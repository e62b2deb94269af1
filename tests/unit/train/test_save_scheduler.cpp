#include "train/save_scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A stage of steps of 100 tokens whose state is one number; the clock is the test's.
class Saves : public ::testing::Test {
 protected:
  void SetUp() override {
    make_folders(run_.checkpoints());
    state_.stages.push_back({"s0"});
  }

  void schedule(const CheckpointSpec& spec) {
    saves_.emplace(
        SaveScheduler::Context{
            *world_, run_, records_, requests_,
            [this] {
              if (is_replaced_) throw Error(ErrorKind::kFenced, "replaced");
            },
            0, [this](const TrainState& state, const SaveResult&) { committed_.push_back(state.step); }},
        spec, 0, kSteps, state_, [this](bool pinned) { return begin(pinned); }, [this] { return now_; });
  }

  std::unique_ptr<PendingSave> begin(bool pinned) {
    if (pinned) pinned_.push_back(state_.step);
    return std::make_unique<PendingSave>(*world_, run_, CheckpointId{"run", "s0", state_.step},
                                         std::vector<TensorSlice>{{"w", DType::kF64, {1}, {0, 1, 0, 1}, &weight_}},
                                         nlohmann::json{{"pinned", pinned}});
  }

  // Goes on as the trainer does, up to a step of the stage.
  void train_to(int64_t step) {
    while (state_.step < step) {
      const int64_t before = state_.total_tokens();
      ++state_.step;
      state_.stages.back().tokens += 100;
      now_ += 1;
      const bool asked = saves_->with_due_save(requests_.poll()).save;
      saves_->after_step(before, asked, state_.step == kSteps);
    }
  }

  std::vector<int64_t> kept() const {
    std::vector<int64_t> steps;
    for (const CheckpointEntry& entry : list_checkpoints(run_)) steps.push_back(entry.id.step);
    return steps;
  }

  static constexpr int64_t kSteps = 20;
  static CheckpointSpec every(Period::Unit unit, double value, int keep_last = 100) {
    return {{unit, value}, keep_last, {}, /*async=*/false};
  }

  TempFolder folder_;
  RunFolder run_{folder_.path()};
  std::unique_ptr<Communicator> world_ = make_self_communicator();
  RunRecords records_{run_, true, "gemm_causal"};
  StopRequests requests_{run_, true, std::nullopt};
  TrainState state_;
  double weight_ = 1, now_ = 1000;
  bool is_replaced_ = false;
  std::vector<int64_t> committed_, pinned_;
  std::optional<SaveScheduler> saves_;
};

TEST_F(Saves, ComeAtTheirPeriodAndAtTheEndOfTheStage) {
  schedule(every(Period::Unit::kSteps, 8));
  train_to(kSteps);
  EXPECT_THAT(committed_, ElementsAre(8, 16, 20));
  EXPECT_EQ(kept(), committed_);
}

TEST_F(Saves, CountTokensOfTheLineageNotOfTheStage) {
  state_.inherited_tokens = 250;
  schedule(every(Period::Unit::kTokens, 1000));
  train_to(kSteps - 1);
  EXPECT_THAT(committed_, ElementsAre(8, 18)) << "1050 and 2050 tokens";
}

TEST_F(Saves, BySecondsCountFromTheLastSaveWhateverItWasFor) {
  schedule(every(Period::Unit::kSeconds, 5));
  train_to(5);
  EXPECT_THAT(committed_, ElementsAre(5));
  now_ -= 0.5;
  write_file_durably(run_.root + "/CHECKPOINT_NOW", "");
  train_to(7);
  EXPECT_THAT(committed_, ElementsAre(5, 6)) << "as asked";
  EXPECT_FALSE(path_exists(run_.root + "/CHECKPOINT_NOW")) << "served";
  train_to(12);
  EXPECT_THAT(committed_, ElementsAre(5, 6, 11));
}

TEST_F(Saves, AreCommittedBeforeAnotherOneBegins) {
  CheckpointSpec spec = every(Period::Unit::kSteps, 1);
  spec.async = true;
  schedule(spec);
  train_to(4);
  EXPECT_GE(committed_.size(), 3u);
  saves_->finish();
  EXPECT_THAT(committed_, ElementsAre(1, 2, 3, 4));
  saves_->finish();
  EXPECT_EQ(committed_.size(), 4u) << "there is none under way";
}

TEST_F(Saves, UnderWayAreNotAskedForAgainByTheSameRequest) {
  CheckpointSpec spec = every(Period::Unit::kNever, 0);
  spec.async = true;
  schedule(spec);
  write_file_durably(run_.root + "/CHECKPOINT_NOW", "");
  train_to(1);
  EXPECT_FALSE(saves_->with_due_save({false, false, true}).save);
  EXPECT_TRUE(saves_->with_due_save({true, true, true}).save) << "a stop saves what has been done since";
  saves_->finish();
  EXPECT_THAT(committed_, ElementsAre(1));
  EXPECT_TRUE(saves_->with_due_save({false, false, true}).save) << "somebody asks anew";
}

TEST_F(Saves, ThatComeDueWhileTheWeightsAreDoubtfulAreOwed) {
  schedule(every(Period::Unit::kSteps, 4));
  train_to(3);
  saves_->set_weights_are_sound(false);
  train_to(6);
  EXPECT_THAT(committed_, IsEmpty());
  saves_->set_weights_are_sound(true);
  train_to(7);
  EXPECT_THAT(committed_, ElementsAre(7));
  train_to(8);
  EXPECT_THAT(committed_, ElementsAre(7, 8)) << "the period goes on as it was";
}

TEST_F(Saves, LeaveTheNewestAndThePinnedOnes) {
  CheckpointSpec spec = every(Period::Unit::kSteps, 2, 2);
  spec.keep_every = {Period::Unit::kSteps, 6};
  schedule(spec);
  train_to(kSteps);
  EXPECT_THAT(pinned_, ElementsAre(6, 12, 18));
  EXPECT_THAT(kept(), ElementsAre(6, 12, 18, 20));
}

TEST_F(Saves, PruneNothingWhileTheWeightsAreDoubtful) {
  CheckpointSpec spec = every(Period::Unit::kSteps, 3, 1);
  spec.async = true;
  schedule(spec);
  train_to(3);
  saves_->finish();
  train_to(6);  // begun
  saves_->set_weights_are_sound(false);
  saves_->finish();
  EXPECT_THAT(kept(), ElementsAre(3, 6));
  saves_->set_weights_are_sound(true);
  train_to(9);
  saves_->finish();
  EXPECT_THAT(kept(), ElementsAre(9));
}

TEST_F(Saves, OfALaunchThatWasReplacedAreNotCommitted) {
  schedule(every(Period::Unit::kSteps, 2));
  is_replaced_ = true;
  EXPECT_NEXUS_ERROR(train_to(2), ErrorKind::kFenced, ::testing::HasSubstr("replaced"));
  EXPECT_THAT(kept(), IsEmpty());
  EXPECT_THAT(committed_, IsEmpty());
  saves_->finish();
  EXPECT_THAT(committed_, IsEmpty()) << "it is not tried twice";
}

TEST_F(Saves, CountPeriodsFromWhereTheStageGoesOn) {
  state_.step = 7;
  state_.stages.back().tokens = 700;
  CheckpointSpec spec = every(Period::Unit::kSteps, 5);
  spec.keep_every = {Period::Unit::kSteps, 10};
  schedule(spec);
  train_to(10);
  EXPECT_THAT(committed_, ElementsAre(10));
  EXPECT_THAT(pinned_, ElementsAre(10));
}

}  // namespace
}  // namespace nexus
