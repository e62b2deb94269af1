#include <sys/stat.h>

#include "checkpoint/manifest.h"
#include "core/hash.h"
#include "scratch_run.h"

namespace nexus {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RunCheckpoints : public ScratchRun {
 protected:
  std::string path(int64_t step, const std::string& stage = "s1") const { return run_.checkpoint(stage, step); }
  void damage(int64_t step) { flip_bit(path(step) + "/shard-0000.h5", 300, 3); }
};

TEST_F(RunCheckpoints, AreListedInOrderOfCommitWithDamagedOnesLast) {
  EXPECT_THAT(list_checkpoints(run_), IsEmpty());
  save(20);
  save(10);
  save(7, {}, "s0");
  save(30);
  overwrite(path(20) + "/MANIFEST.json", "");
  fs::create_directories(path(40) + ".tmp-12345678");
  fs::create_directories(run_.checkpoints() + "/s1/notes");
  const std::vector<CheckpointEntry> entries = list_checkpoints(run_);
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].path, path(10));
  EXPECT_EQ(entries[0].tokens, 10000);
  EXPECT_GT(entries[0].size_bytes, 0);
  EXPECT_EQ(entries[1].path, path(7, "s0"));
  EXPECT_EQ(entries[1].id.stage, "s0");
  EXPECT_EQ(entries[2].sequence, 4);
  EXPECT_EQ(entries[3].path, path(20));
  EXPECT_THAT(entries[3].problem, HasSubstr("empty or cut off"));
}

TEST_F(RunCheckpoints, NewestIsTheLastCommittedOne) {
  EXPECT_EQ(newest_good_checkpoint(run_), "");
  save(20);
  save(10);
  EXPECT_EQ(newest_good_checkpoint(run_), path(10));
}

TEST_F(RunCheckpoints, DamagedNewestOnesFallBackAndAreQuarantined) {
  for (int good = 4; good >= 1; --good) {
    fs::remove_all(run_.checkpoints());
    for (int step = 1; step <= 5; ++step) save(step);
    for (int step = good + 1; step <= 5; ++step) damage(step);
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(newest_good_checkpoint(run_, /*read_only=*/true), path(good));
    EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("does not match its digest"));
    EXPECT_EQ(names().size(), 5u) << "read-only renames nothing";
    EXPECT_TRUE(fs::exists(path(5)));
    EXPECT_EQ(newest_good_checkpoint(run_), path(good));
    expect_holds(path(good), good);
    for (int step = good + 1; step <= 5; ++step) EXPECT_TRUE(fs::exists(path(step) + ".bad/MANIFEST.json"));
    EXPECT_EQ(read_text_file(run_.checkpoints() + "/LATEST"), fmt::format("s1/{:07}\n", good));
    save(5);  // the step is reached again
    damage(5);
    EXPECT_EQ(newest_good_checkpoint(run_), path(good));
    EXPECT_EQ(fs::exists(path(5) + ".2.bad"), true);
  }
}

TEST_F(RunCheckpoints, FoldersWithoutManifestAreQuarantinedToo) {
  save(1);
  save(2);
  fs::remove(path(2) + "/MANIFEST.json");
  EXPECT_EQ(newest_good_checkpoint(run_), path(1));
  EXPECT_THAT(names(), ElementsAre("0000001", "0000002.bad"));
}

TEST_F(RunCheckpoints, WhenNoneVerifiesNothingIsTouched) {
  save(1);
  save(2);
  damage(1);
  damage(2);
  EXPECT_NEXUS_ERROR(newest_good_checkpoint(run_), ErrorKind::kCheckpoint, HasSubstr("none of 2 checkpoints verifies"));
  EXPECT_THAT(names(), ElementsAre("0000001", "0000002"));
}

TEST_F(RunCheckpoints, OneOfAnotherRunIsNotResumedFrom) {
  save(1);
  save_checkpoint(*comm_, run_, {"run-b", "s1", 2}, slices(2), {});
  EXPECT_EQ(newest_good_checkpoint(run_, true), path(2));
  EXPECT_EQ(newest_good_checkpoint(run_, false, "run-a"), path(1));
  EXPECT_THAT(names(), ElementsAre("0000001", "0000002.bad"));
}

TEST_F(RunCheckpoints, OneOfANewerFormatStopsInsteadOfFallingBack) {
  save(1);
  save(2);
  std::string text = read_text_file(path(2) + "/MANIFEST.json");
  text.replace(text.find("\"version\": 2"), 12, "\"version\": 9");
  const std::string body = text.substr(0, text.find(",\n \"digest\""));
  overwrite(path(2) + "/MANIFEST.json", body + ",\n \"digest\": \"" + hash_text(body) + "\"\n}\n");
  EXPECT_NEXUS_ERROR(newest_good_checkpoint(run_), ErrorKind::kCheckpoint, HasSubstr("format version 9"));
  EXPECT_THAT(names(), ElementsAre("0000001", "0000002"));
}

TEST_F(RunCheckpoints, PruneKeepsTheNewestThePinnedAndTheDamaged) {
  for (int step = 1; step <= 4; ++step) save(step);
  save(5, {{"pinned", true}});
  for (int step = 6; step <= 9; ++step) save(step);
  overwrite(path(3) + "/MANIFEST.json", "");
  KeepPolicy policy;
  policy.pinned = {path(2) + "/"};
  const std::vector<std::string> expected = {path(1), path(4), path(6), path(7)};
  EXPECT_EQ(prune_checkpoints(run_, policy, /*dry_run=*/true), expected);
  EXPECT_EQ(names().size(), 9u);
  EXPECT_EQ(prune_checkpoints(run_, policy), expected);
  EXPECT_THAT(names(), ElementsAre("0000002", "0000003", "0000005", "0000008", "0000009"));
  EXPECT_THAT(prune_checkpoints(run_, policy), IsEmpty());
}

TEST_F(RunCheckpoints, PruneRemovesNothingWhileTheNewestDoesNotVerify) {
  for (int step = 1; step <= 4; ++step) save(step);
  damage(4);
  EXPECT_NEXUS_ERROR(prune_checkpoints(run_, {}), ErrorKind::kCheckpoint, HasSubstr("digest"));
  EXPECT_EQ(names().size(), 4u);
  KeepPolicy trusting;
  trusting.verified = path(4);  // the caller answers for it
  EXPECT_EQ(prune_checkpoints(run_, trusting).size(), 2u);
}

TEST_F(RunCheckpoints, PruneClearsWhatKilledSavesAndPrunesLeft) {
  save(1);
  fs::create_directories(path(2) + ".tmp-0badcafe");
  fs::create_directories(run_.checkpoints() + "/s1/.trash-0000000-0badcafe/deep");
  fs::create_directories(run_.checkpoints() + "/s1/mine.tmp-1");  // not named like a save
  fs::create_directories(path(3) + ".bad");
  KeepPolicy policy;
  policy.min_temporary_age_seconds = 60;
  prune_checkpoints(run_, policy);
  EXPECT_TRUE(fs::exists(path(2) + ".tmp-0badcafe")) << "young: perhaps a live save of another process";
  prune_checkpoints(run_, {});
  EXPECT_THAT(names(), ElementsAre("0000001", "0000003.bad", "mine.tmp-1"));
}

TEST_F(RunCheckpoints, UnfinishedSavesOfLaterGenerationsAreNotTaken) {
  save(1);
  const std::vector<std::string> unfinished = {".tmp-0badcafe", ".tmp-12345678", ".tmp-0-0badcafe", ".tmp-9-0badcafe",
                                               ".tmp-10-0badcafe"};
  for (const bool revoke : {false, true}) {
    for (const std::string& mark : unfinished) fs::create_directories(path(2) + mark);
    KeepPolicy policy;
    policy.generation = 9;
    if (revoke)
      revoke_unfinished_saves(run_, 9);
    else
      prune_checkpoints(run_, policy);
    EXPECT_THAT(names(), ElementsAre("0000001", "0000002.tmp-10-0badcafe")) << "9 is older than 10, whatever the text";
  }
  prune_checkpoints(run_, {});
  EXPECT_THAT(names(), ElementsAre("0000001")) << "who is told nothing clears them all";
}

}  // namespace
}  // namespace nexus
