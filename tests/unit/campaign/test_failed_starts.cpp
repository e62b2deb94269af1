#include <gtest/gtest.h>

#include "campaign/failed_starts.h"

namespace nexus {
namespace {

LeaseRecord start(const std::string& job, int64_t restart, int64_t found, int64_t commits = 0) {
  LeaseRecord record;
  record.job = {job, restart, 1};
  record.found = found;
  record.commits = commits;
  return record;
}

int64_t failed_before(int64_t restart, const std::vector<LeaseRecord>& leases, int64_t found) {
  return failed_starts(leases, {"7", restart, 1}, found);
}

TEST(FailedStarts, AreTheLatestOnesOfThisJobThatCommittedNothing) {
  EXPECT_EQ(failed_before(0, {}, 0), 0);
  EXPECT_EQ(failed_before(2, {start("7", 0, 0), start("7", 1, 0)}, 0), 2);
  EXPECT_EQ(failed_before(2, {start("7", 0, 0), start("7", 1, 0)}, 1), 0);
  EXPECT_EQ(failed_before(2, {start("7", 0, 1), start("6", 0, 2), start("7", 1, 2)}, 2), 1);
  EXPECT_EQ(failed_starts({start("", 0, 2), start("", 0, 2)}, {}, 2), 0) << "only Slurm starts by itself";
  EXPECT_EQ(failed_before(4, {start("7", 0, 1), start("7", 1, 2), start("7", 2, -1), start("7", 3, 2)}, 2), 3)
      << "one that looked for no checkpoint committed nothing, and hides nothing";
}

TEST(FailedStarts, ThatNeverOpenedTheRunCountLikeOthers) {
  EXPECT_EQ(failed_before(2, {}, 0), 2);
  EXPECT_EQ(failed_before(2, {start("6", 0, 1, 4)}, 5), 2) << "a job before this one in the chain";
  EXPECT_EQ(failed_before(3, {start("7", 0, 0, 1)}, 1), 2) << "1 and 2 have no lease";
  EXPECT_EQ(failed_before(4, {start("7", 0, 0, 1), start("7", 2, 1)}, 1), 3) << "nor have 1 and 3";
  EXPECT_EQ(failed_before(4, {start("7", 0, 0), start("7", 2, 0)}, 1), 1) << "2 was killed before it could say so";
}

// In an interactive allocation, which has no restarts, a person starts and breaks off as often as he likes.
TEST(FailedStarts, AreSlurmsNotThoseOfSomebodyAtAShell) {
  const LeaseRecord first = start("7", 0, 0);
  EXPECT_EQ(failed_before(0, {first, first, first, first}, 0), 0);
  EXPECT_EQ(failed_before(1, {first, first, first, start("7", 1, 0)}, 0), 1) << "a script tries again itself";
}

// A start that finds the newest checkpoint damaged sets it aside: the numbers go back.
TEST(FailedStarts, AreToldByCommitsAlsoWhereTheNewestCheckpointWasSetAside) {
  EXPECT_EQ(failed_before(3, {start("7", 0, 5, 1), start("7", 1, 5, 1), start("7", 2, 5, 1)}, 5), 0)
      << "each set 5 aside and made it again";
  EXPECT_EQ(failed_before(3, {start("7", 0, 5), start("7", 1, 4), start("7", 2, 3)}, 3), 3)
      << "each set one aside and made none";
  EXPECT_EQ(failed_before(2, {start("7", 0, 5, 2), start("7", 1, 6)}, 6), 1);
}

TEST(FailedStarts, AreNotedInTheJobsComment) {
  const std::string comment = "nexus:0123:s0";
  EXPECT_EQ(failed_starts_noted(comment, 1), 0);
  const std::string first = comment_with_failed_starts(comment, 7, 1), second = comment_with_failed_starts(first, 8, 2);
  EXPECT_EQ(second, "nexus:0123:s0/failed-8-2");
  EXPECT_EQ(failed_starts_noted(first, 8), 1);
  EXPECT_EQ(failed_starts_noted(second, 9), 2);
  EXPECT_EQ(failed_starts_noted(second, 10), 0) << "the start between could be read";
  for (const char* odd : {"nexus:0123:s0/failed-", "nexus:0123:s0/failed-8", "nexus:0123:s0/failed-8-", "/failed-8--3"})
    EXPECT_EQ(failed_starts_noted(odd, 9), 0) << odd;
}

}  // namespace
}  // namespace nexus
