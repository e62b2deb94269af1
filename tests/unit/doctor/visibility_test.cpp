// Ranks as threads: they share nothing but the folder.
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "doctor/checks.h"
#include "support/temp_folder.h"
#include "unit/doctor/finding_support.h"

namespace nexus {
namespace {

LaunchEnvironment rank_of(int rank, int size) {
  LaunchEnvironment launch;
  launch.by = StartedBy::kMpirun;
  launch.rank = rank;
  launch.size = size;
  launch.token = "test";
  launch.host = "host" + std::to_string(rank);
  return launch;
}

TEST(Visibility, RanksThatShareAFolderAnswerAndNothingIsLeft) {
  const TempFolder folder;
  std::vector<Finding> findings;
  std::thread asker([&] { findings = check_visibility(folder.path(), rank_of(0, 3), 20); });
  std::thread first([&] { EXPECT_TRUE(check_visibility(folder.path(), rank_of(1, 3), 20).empty()); });
  EXPECT_TRUE(check_visibility(folder.path(), rank_of(2, 3), 20).empty());
  asker.join();
  first.join();
  EXPECT_EQ(level_of(findings, "3 ranks on 3 hosts see each other's files"), "ok");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Visibility, ARankOnAnotherFileSystemIsNamed) {
  const TempFolder folder, elsewhere;
  std::vector<Finding> findings;
  std::thread asker([&] { findings = check_visibility(folder.path(), rank_of(0, 3), 0.5); });
  std::thread lost([&] { check_visibility(elsewhere.path(), rank_of(2, 3), 0.5); });
  check_visibility(folder.path(), rank_of(1, 3), 0.5);
  asker.join();
  lost.join();
  EXPECT_EQ(level_of(findings, "ranks 2 do not see files of rank 0"), "problem");
  EXPECT_TRUE(all_have_cures(findings));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Visibility, AProcessAloneHasNobodyToAsk) {
  const TempFolder folder;
  EXPECT_TRUE(check_visibility(folder.path(), LaunchEnvironment{}, 1).empty());
}

}  // namespace
}  // namespace nexus
