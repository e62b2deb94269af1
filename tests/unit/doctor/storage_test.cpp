#include "doctor/storage.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "support/temp_folder.h"
#include "unit/doctor/finding_support.h"

namespace nexus {
namespace {

StorageOptions small_options(const std::string& folder) {
  StorageOptions options;
  options.folder = folder;
  options.file_bytes = 3 << 20;
  options.fsync_rounds = 5;
  return options;
}

StorageFacts good_facts(const std::string& type) {
  StorageFacts facts;
  facts.folder = "/runs";
  facts.mount = Mount{"/runs", type, "source", "rw"};
  facts.free_bytes = 1'000'000'000;
  facts.abilities = {{"flock", "", true}, {"link", "", false}};
  facts.write_rates = {1e8, 3e8, 2e8};
  facts.read_rates = {1e9};
  facts.fsync_seconds = {0.001, 0.002};
  return facts;
}

TEST(StorageProbe, AnOrdinaryFolderCanDoEverythingAndIsLeftAsItWas) {
  const TempFolder folder;
  const StorageOptions options = small_options(folder.path());
  const StorageFacts facts = probe_storage(options);
  EXPECT_EQ(facts.failed, "");
  ASSERT_EQ(facts.abilities.size(), 7u);
  for (const StorageAbility& ability : facts.abilities)
    if (ability.needed) {
      EXPECT_EQ(ability.reason, "") << ability.name;
    }
  EXPECT_EQ(facts.write_rates.size(), 3u);
  EXPECT_EQ(facts.read_rates.size(), 3u);
  EXPECT_EQ(facts.fsync_seconds.size(), 5u);
  EXPECT_GT(facts.free_bytes, 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_EQ(exit_code_of(judge_storage(facts, options)), 0);
}

TEST(StorageProbe, AFolderThatIsNotThereYetIsTriedInTheOneAbove) {
  const TempFolder folder;
  const StorageFacts facts = probe_storage(small_options(folder / "a/b/c"));
  EXPECT_EQ(facts.folder, std::filesystem::canonical(folder.path()).string());
  EXPECT_EQ(facts.failed, "");
  EXPECT_NE(find(judge_storage(facts, small_options(folder / "a/b/c")), "not there yet"), nullptr);
}

TEST(StorageProbe, WhereNothingCanBeMadeThatIsTheProblem) {
  const StorageOptions options = small_options("/proc");
  const std::vector<Finding> findings = judge_storage(probe_storage(options), options);
  EXPECT_EQ(level_of(findings, "cannot create a folder in /proc"), "problem");
  EXPECT_TRUE(all_have_cures(findings));
}

TEST(StorageJudge, SharedFileSystemsAreGoodAndOthersAreWhatTheyAre) {
  StorageOptions options = small_options("/runs");
  EXPECT_EQ(level_of(judge_storage(good_facts("nfs4"), options), "lies on nfs4"), "ok");
  EXPECT_EQ(level_of(judge_storage(good_facts("ext4"), options), "lies on ext4"), "ok");
  EXPECT_EQ(level_of(judge_storage(good_facts("tmpfs"), options), "lies on tmpfs"), "warning");
  EXPECT_EQ(level_of(judge_storage(good_facts("overlay"), options), "lies on overlay"), "warning");
  EXPECT_EQ(level_of(judge_storage(good_facts("newfs"), options), "lies on newfs"), "note");
  options.nodes = 2;
  EXPECT_EQ(level_of(judge_storage(good_facts("ext4"), options), "the others may not see it"), "warning");
  EXPECT_EQ(level_of(judge_storage(good_facts("lustre"), options), "lies on lustre"), "ok");
}

TEST(StorageJudge, LocksOfOneNodeAreFound) {
  StorageFacts facts = good_facts("nfs");
  EXPECT_EQ(find(judge_storage(facts, small_options("/runs")), "a lock holds on one node"), nullptr);
  facts.mount->options = "rw,nolock";
  EXPECT_EQ(level_of(judge_storage(facts, small_options("/runs")), "a lock holds on one node"), "warning");
}

TEST(StorageJudge, RoomIsComparedWithTheCampaign) {
  StorageOptions options = small_options("/runs");
  const auto level = [&](int64_t one, int64_t all) {
    options.checkpoint_bytes = one;
    options.kept_bytes = all;
    return level_of(judge_storage(good_facts("nfs4"), options), "1.00 GB are free");
  };
  EXPECT_EQ(level(0, 0), "ok");
  EXPECT_EQ(level(100'000'000, 900'000'000), "ok");
  EXPECT_EQ(level(100'000'000, 1'100'000'000), "warning");
  EXPECT_EQ(level(1'100'000'000, 3'000'000'000), "problem");
}

TEST(StorageJudge, SpeedIsAMedianAndForecastsASave) {
  StorageOptions options = small_options("/runs");
  options.checkpoint_bytes = 600'000'000;
  options.kept_bytes = 700'000'000;
  const std::vector<Finding> findings = judge_storage(good_facts("nfs4"), options);
  const Finding* speed = find(findings, "one process writes 200.0 MB/s");
  ASSERT_NE(speed, nullptr);
  EXPECT_EQ(speed->figures.at("write_bytes_per_second"), 2e8);
  EXPECT_NE(speed->what.find("would take one writer 0:00:03"), std::string::npos) << speed->what;
  EXPECT_EQ(level_of(findings, "an fsync of 4 KiB takes 1.50 ms"), "ok");
  StorageFacts slow = good_facts("nfs4");
  slow.write_rates = {1e6};
  slow.fsync_seconds = {2};
  EXPECT_EQ(level_of(judge_storage(slow, options), "one process writes"), "warning");
  EXPECT_EQ(level_of(judge_storage(slow, options), "an fsync"), "warning");
}

TEST(StorageJudge, WhatSavesNeedIsAProblemWhereItIsMissingTheRestIsNot) {
  StorageFacts facts = good_facts("nfs4");
  facts.abilities = {{"flock", "No locks available", true}, {"RENAME_EXCHANGE", "Invalid argument", false}};
  const std::vector<Finding> findings = judge_storage(facts, small_options("/runs"));
  EXPECT_EQ(level_of(findings, "flock does not work there: No locks available"), "problem");
  EXPECT_EQ(level_of(findings, "RENAME_EXCHANGE does not work there"), "note");
}

TEST(StorageJudge, EveryFailureHasItsOwnCure) {
  for (const auto& [error, cure] :
       {std::pair{ENOSPC, "df -h"}, {EDQUOT, "quota"}, {EROFS, "findmnt"}, {EACCES, "ls -ld"}, {EIO, "dmesg"}}) {
    StorageFacts facts = good_facts("nfs4");
    facts.failed = "write";
    facts.error = error;
    const std::vector<Finding> findings = judge_storage(facts, small_options("/runs"));
    const Finding* finding = find(findings, "cannot write in /runs");
    ASSERT_NE(finding, nullptr);
    EXPECT_EQ(finding->level, Level::kProblem);
    EXPECT_NE(finding->cure.find(cure), std::string::npos) << finding->cure;
  }
}

}  // namespace
}  // namespace nexus
