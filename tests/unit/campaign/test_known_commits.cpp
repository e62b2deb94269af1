#include "campaign/known_commits.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "campaign/run_lease.h"
#include "core/files.h"
#include "support/commit_state.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "train/earlier_records.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class KnownCommitsOfRun : public ::testing::Test {
 protected:
  void ledger(const std::string& kind, int64_t stage, int64_t step, int64_t generation = 1) const {
    const nlohmann::json record = {{"kind", kind},
                                   {"stage", fmt::format("s{}", stage)},
                                   {"stage_index", stage},
                                   {"step", step},
                                   {"generation", generation}};
    append_line(run_.ledger(), record.dump());
  }
  void commit(int64_t stage, int64_t step) const {
    commit_state(run_.root, stage, step);
    ledger("commit", stage, step);
  }
  void lease(int64_t generation, int64_t commits, int64_t found) const {
    make_folders(run_.lease_folder());
    const nlohmann::json record = {{"host", "n1"},       {"machine", "m"},  {"pid", 1},          {"start_ticks", 1},
                                   {"job", ""},          {"restart", 0},    {"ranks", 1},        {"nodes", 1},
                                   {"seconds", 1},       {"renewals", 1},   {"save_seconds", 0}, {"commit", found},
                                   {"commits", commits}, {"released", true}};
    write_file_durably(fmt::format("{}/{:06}.json", run_.lease_folder(), generation), record.dump());
  }
  void metrics() const { append_line(run_.metrics(), R"({"kind":"step","stage":"s0","stage_index":0,"step":1})"); }
  void evaluation() const { append_line(run_.evals(), R"({"kind":"eval","stage":"s0","stage_index":0,"step":0})"); }
  std::string newest() const {
    std::string path;
    for (const CheckpointEntry& entry : list_checkpoints(run_)) path = entry.path;
    return path;
  }
  void resume() const { refuse_vanished_checkpoints(run_, newest()); }

  TempFolder folder_;
  RunFolder run_{folder_ / "run"};
  void SetUp() override { make_folders(run_.checkpoints()); }
};

TEST_F(KnownCommitsOfRun, ANewRunHasNone) {
  EXPECT_FALSE(read_known_commits(run_).any());
  EXPECT_NO_THROW(resume());
  make_folders(run_.checkpoints() + "/s0");
  write_file_durably(run_.metrics(), "");
  EXPECT_NO_THROW(resume()) << "somebody has made the folders and files beforehand";
}

TEST_F(KnownCommitsOfRun, ARunThatWasKilledBeforeItsFirstCommitHasNone) {
  ledger("begin", 0, 0);
  ledger("stage", 0, 0);
  metrics();
  lease(1, 0, 0);
  EXPECT_NO_THROW(resume());
}

TEST_F(KnownCommitsOfRun, AnEvaluationIsOfARunToo) {
  evaluation();
  EXPECT_NEXUS_ERROR(resume(), ErrorKind::kCheckpoint, HasSubstr("its ledger and its checkpoints are gone"));
}

TEST_F(KnownCommitsOfRun, CheckpointsThatAreAllGoneAreMissed) {
  ledger("begin", 0, 0);
  commit(0, 10);
  commit(0, 20);
  EXPECT_NO_THROW(resume());
  fs::remove_all(run_.checkpoints());
  EXPECT_NEXUS_ERROR(resume(), ErrorKind::kCheckpoint,
                     AllOf(HasSubstr("2 commits"), HasSubstr("checkpoints/s0/0000020"), HasSubstr("--resume never")));
}

TEST_F(KnownCommitsOfRun, CheckpointsThatWereAllSetAsideAreMissed) {
  ledger("begin", 0, 0);
  commit(0, 10);
  fs::rename(run_.checkpoint("s0", 10), run_.checkpoint("s0", 10) + ".bad");
  EXPECT_NEXUS_ERROR(resume(), ErrorKind::kCheckpoint, HasSubstr("1 is set aside as *.bad"));
}

TEST_F(KnownCommitsOfRun, LeasesAndMetricsTellOfThemWhereTheLedgerIsGoneToo) {
  lease(1, 3, 0);
  lease(2, 0, 3);
  EXPECT_NEXUS_ERROR(resume(), ErrorKind::kCheckpoint, HasSubstr("3 commits"));
  fs::remove_all(run_.lease_folder());
  EXPECT_NO_THROW(resume());
  metrics();
  EXPECT_NEXUS_ERROR(resume(), ErrorKind::kCheckpoint, HasSubstr("ledger"));
}

TEST_F(KnownCommitsOfRun, TheNewestOneThatVanishedIsMissed) {
  ledger("begin", 0, 0);
  commit(0, 10);
  commit(1, 5);
  fs::remove_all(run_.checkpoints() + "/s1");
  EXPECT_NEXUS_ERROR(resume(), ErrorKind::kCheckpoint,
                     AllOf(HasSubstr("checkpoints/s1/0000005"), HasSubstr("--resume checkpoints/s0/0000010")));
  ledger("resume", 0, 10, 2);  // as the message says
  EXPECT_NO_THROW(resume());
}

TEST_F(KnownCommitsOfRun, OneThatWasSetAsideOrReplacedIsNotMissed) {
  ledger("begin", 0, 0);
  commit(0, 10);
  commit(0, 20);
  const std::string newest = run_.checkpoint("s0", 20);
  for (const std::string& left :
       {newest + ".bad", newest + ".2.bad", run_.checkpoints() + "/s0/.trash-0000020-0badf00d"}) {
    fs::rename(newest, left);
    EXPECT_NO_THROW(resume()) << left;
    fs::rename(left, newest);
  }
}

TEST_F(KnownCommitsOfRun, OlderOnesMayGo) {
  ledger("begin", 0, 0);
  for (const int64_t step : {10, 20, 30}) commit(0, step);
  fs::remove_all(run_.checkpoint("s0", 10));
  fs::remove_all(run_.checkpoint("s0", 20));
  EXPECT_NO_THROW(resume());
}

// The process ended between the commit and its record.
TEST_F(KnownCommitsOfRun, ACheckpointThatTheLedgerDoesNotKnowIsTheNewest) {
  ledger("begin", 0, 0);
  commit(0, 10);
  commit_state(run_.root, 0, 20);
  EXPECT_NO_THROW(resume());
}

TEST_F(KnownCommitsOfRun, TornLinesAndThoseOfAReplacedLaunchDoNotCount) {
  ledger("begin", 0, 0);
  commit(0, 10);
  ledger("resume", 0, 10, 2);
  ledger("commit", 0, 30, 1);  // it did not know yet that it was replaced
  append_line(run_.ledger(), "{\"kind\":\"com");
  EXPECT_NO_THROW(resume());
  EXPECT_EQ(read_known_commits(run_).ledger.size(), 1u);
}

TEST_F(KnownCommitsOfRun, BeginningAnewKeepsTheRecordsAndForgetsTheCommits) {
  ledger("begin", 0, 0);
  commit(0, 10);
  metrics();
  lease(1, 1, 0);
  write_file_durably(run_.run_json(), "{}");
  EXPECT_NEXUS_ERROR(begin_anew(run_), ErrorKind::kConfig, HasSubstr("--resume is never"));
  const std::string before = read_text_file(run_.ledger());
  fs::remove_all(run_.checkpoints());
  begin_anew(run_);
  const RunFolder earlier{earlier_folder(run_) + "/1"};
  EXPECT_EQ(read_text_file(earlier.ledger()), before);
  EXPECT_TRUE(path_exists(earlier.metrics()) && path_exists(earlier.run_json()));
  EXPECT_FALSE(path_exists(run_.ledger()) || path_exists(run_.metrics()) || path_exists(run_.run_json()));
  EXPECT_NEXUS_ERROR(resume(), ErrorKind::kCheckpoint, HasSubstr("1 commits"));  // ended before it began
  ledger("begin", 0, 0, 2);
  lease(2, 0, 0);
  EXPECT_NO_THROW(resume()) << "leases of before do not count any more";
  begin_anew(run_);
  EXPECT_TRUE(path_exists(run_.ledger())) << "nothing but a start that committed nothing: its records stay for `begin`";
}

}  // namespace
}  // namespace nexus
