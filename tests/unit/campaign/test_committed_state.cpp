#include "campaign/committed_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/files.h"
#include "support/commit_state.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

class CommittedState : public testing::Test {
 protected:
  TempFolder folder_;
  RunFolder run_{folder_ / "run"};
};

TEST_F(CommittedState, IsNothingOfARunWithoutCheckpoints) {
  EXPECT_FALSE(committed_state(run_));
}

TEST_F(CommittedState, IsOfTheNewestCommitNotOfTheFarthestStep) {
  commit_state(run_.root, 0, 10);
  commit_state(run_.root, 1, 8);
  commit_state(run_.root, 1, 4, /*eval_pending=*/true);  // somebody went back by --resume
  const std::optional<TrainState> state = committed_state(run_);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->stage_index, 1);
  EXPECT_EQ(state->step, 4);
  EXPECT_TRUE(state->eval_pending);
}

TEST_F(CommittedState, PassesOverWhatIsNoCheckpoint) {
  commit_state(run_.root, 0, 4);
  std::filesystem::remove(commit_state(run_.root, 0, 8) + "/state.json");
  EXPECT_EQ(committed_state(run_)->step, 4);
}

TEST_F(CommittedState, RefusesAStateOfAnotherKind) {
  commit_small(run_.root, "s0", 1, {{"tokens", 1}});
  EXPECT_NEXUS_ERROR(committed_state(run_), ErrorKind::kCheckpoint, testing::HasSubstr("state cannot be read"));
}

}  // namespace
}  // namespace nexus
