#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "campaign/launch_inputs.h"
#include "core/files.h"
#include "records/run_description.h"
#include "records/status_record.h"
#include "support/commit_state.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using testing::HasSubstr;

// What init_from names: a checkpoint, or the folder of a run.
class Ancestor : public testing::Test {
 protected:
  void SetUp() override {
    spec_.out = folder_ / "heir";
    spec_.init_from = parent_;
    first_ = commit_state(parent_, 0, 5);
    last_ = commit_state(parent_, 0, 10);
  }
  void status(const std::string& text, const std::optional<LaunchEnd>& end) const {
    write_file_durably(RunFolder{parent_}.status(), status_text({text, end, {}}));
  }
  void refused(ErrorKind kind, const std::string& what) const {
    EXPECT_NEXUS_ERROR(ancestor_checkpoint(spec_), kind, HasSubstr(what));
  }

  TempFolder folder_;
  std::string parent_ = folder_ / "parent", first_, last_;
  CampaignSpec spec_;
};

TEST_F(Ancestor, OfARunThatIsDoneIsItsLastCheckpoint) {
  status("done", LaunchEnd{ExitCode::kDone, kReasonDone, ""});
  EXPECT_EQ(ancestor_checkpoint(spec_), last_);
  spec_.init_from = first_;
  EXPECT_EQ(ancestor_checkpoint(spec_), first_);
  for (const std::string& other : {std::string(), folder_ / "nowhere"}) {
    spec_.init_from = other;
    EXPECT_EQ(ancestor_checkpoint(spec_), other);
  }
}

TEST_F(Ancestor, OfARunThatIsNotDoneIsRefused) {
  write_file_durably(RunFolder{parent_}.jobs(), "{}");
  refused(ErrorKind::kConfig, "the run that init_from names is not done: it has not begun;");
  status("running stage s0 step 7", std::nullopt);
  refused(ErrorKind::kConfig, "is not done: running stage s0 step 7;");
  status("done stage s0", LaunchEnd{ExitCode::kDone, kReasonStageDone, ""});
  refused(ErrorKind::kConfig, "is not done: done stage s0;");
  commit_state(spec_.out, 0, 1);  // what has begun needs it no more
  EXPECT_EQ(ancestor_checkpoint(spec_), last_);
}

TEST_F(Ancestor, OfARunThatHasBegunIsWhatItRecordedWhereTheFolderIsGone) {
  commit_state(spec_.out, 0, 1);
  RunDescription own("heir");
  own.describe("heir", {}, "nexusformer", 1, "gemm_causal", first_, {});
  own.write(RunFolder{spec_.out});
  EXPECT_EQ(ancestor_checkpoint(spec_), last_) << "the folder is there, and has gone on";
  std::filesystem::remove_all(parent_);
  EXPECT_EQ(ancestor_checkpoint(spec_), first_);
  spec_.init_from = folder_ / "other";
  EXPECT_EQ(ancestor_checkpoint(spec_), folder_ / "other") << "recorded is one of another folder";
}

TEST_F(Ancestor, IsNeverAnOlderCheckpointThanTheLast) {
  status("done", LaunchEnd{ExitCode::kDone, kReasonDone, ""});
  write_file_durably(last_ + "/MANIFEST.json", "{}");
  refused(ErrorKind::kCheckpoint, last_);
}

}  // namespace
}  // namespace nexus
