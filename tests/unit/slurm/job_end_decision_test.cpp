#include "slurm/job_end_decision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "slurm/spare_nodes.h"

namespace nexus {
namespace {

using testing::HasSubstr;

JobEndFacts facts_of(int code) {
  JobEndFacts facts;
  facts.code = code;
  facts.status = parse_status("running stage s0 step 3 of 10 | generation 4 | job 345 restart 2");
  facts.job = {"345", 2};
  facts.max_requeues = 5;
  facts.state = "RUNNING";
  facts.reason = "None";
  facts.nodes = {"n1", "n12"};
  return facts;
}

void ends_with(JobEndFacts& facts, int code) {
  facts.status.end = LaunchEnd{static_cast<ExitCode>(code), "", ""};
}

JobEndAction expected_action(int code) {
  if (code == 0) return JobEndAction::kFinish;
  if (code == 77) return JobEndAction::kLeave;
  if (code == 74 || code == 75 || code == 76 || code > 128) return JobEndAction::kRequeue;
  return JobEndAction::kGiveUp;
}

TEST(JobEndDecision, EveryCodeHasItsAction) {
  for (int code = 2; code < 256; ++code) {  // 0 and 1 are launchers' own, too: see below
    const JobEndDecision decision = decide_job_end(facts_of(code));
    EXPECT_EQ(decision.action, expected_action(code)) << code;
    EXPECT_EQ(decision.code, code);
    EXPECT_FALSE(decision.why.empty());
    EXPECT_EQ(decision.exclude, "");
  }
}

TEST(JobEndDecision, WhatTheRanksLeftInStatusBeatsTheLaunchersCode) {
  for (const int launcher_code : {0, 1, 75, 137, 255})
    for (int code = 0; code < 128; ++code) {
      JobEndFacts facts = facts_of(launcher_code);
      ends_with(facts, code);
      EXPECT_EQ(decide_job_end(facts).action, expected_action(code)) << launcher_code << " " << code;
      EXPECT_EQ(decide_job_end(facts).code, code);
    }
}

TEST(JobEndDecision, StatusOfAnotherStartIsNotBelieved) {
  for (const int exit : {0, 5, 75, 93}) {
    JobEndFacts facts = facts_of(137);
    ends_with(facts, exit);
    facts.status.launch.job.restart = 1;
    EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kRequeue);
    EXPECT_EQ(decide_job_end(facts).code, 137);
    facts.status.launch.job.restart = 2;
    facts.status.launch.job.id = "344";
    EXPECT_EQ(decide_job_end(facts).code, 137);
    facts.status.launch.job.id = "";
    EXPECT_EQ(decide_job_end(facts).code, 137);
  }
}

TEST(JobEndDecision, OneMeansKilledUnlessStatusSaysOtherwise) {
  JobEndFacts facts = facts_of(1);
  EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kRequeue);
  ends_with(facts, 1);
  EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kGiveUp);
}

TEST(JobEndDecision, AStartThatWasReplacedTouchesNothing) {
  for (const int code : {0, 1, 2, 5, 75, 93, 137}) {
    JobEndFacts facts = facts_of(code);
    facts.replaced = true;
    EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kLeave);
    EXPECT_EQ(decide_job_end(facts).code, 77);
  }
}

TEST(JobEndDecision, ZeroWithoutStatusMeansKilled) {
  EXPECT_EQ(decide_job_end(facts_of(0)).action, JobEndAction::kRequeue);
  EXPECT_EQ(decide_job_end(facts_of(0)).code, 137);
}

TEST(JobEndDecision, AnOlderStartLeavesEverythingToTheNewerOne) {
  for (const int code : {0, 1, 5, 74, 75, 93, 137}) {
    JobEndFacts facts = facts_of(code);
    facts.status.launch.job.restart = 3;
    EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kLeave) << code;
    EXPECT_EQ(decide_job_end(facts).code, 77);
  }
}

TEST(JobEndDecision, AFencedCopyTouchesNothingWhateverStatusSays) {
  JobEndFacts facts = facts_of(77);
  ends_with(facts, 75);
  EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kLeave);
  EXPECT_EQ(decide_job_end(facts).code, 77);
}

TEST(JobEndDecision, RequeuesAreBounded) {
  for (const int code : {74, 75, 76, 129, 137, 143, 255}) {
    JobEndFacts facts = facts_of(code);
    facts.job.restart = facts.status.launch.job.restart = 4;
    EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kRequeue) << code;
    facts.job.restart = facts.status.launch.job.restart = 5;
    EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kGiveUp) << code;
    EXPECT_THAT(decide_job_end(facts).why, HasSubstr("max_requeues"));
  }
}

TEST(JobEndDecision, StartsThatNeverOpenTheRunEndInNoProgress) {
  JobEndFacts facts = facts_of(137);
  facts.opened = false;
  facts.failed_before = 1;
  EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kRequeue);
  EXPECT_EQ(decide_job_end(facts).failed_starts, 0) << "the leases count it";
  facts.failed_before = 2;
  EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kGiveUp);
  EXPECT_EQ(decide_job_end(facts).code, 93);
  facts.opened = true;  // the next launch refuses, if there have been slurm.max_idle_starts
  EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kRequeue);
}

TEST(JobEndDecision, StartsOfWhichNothingCanBeReadCountAsFailed) {
  for (const int code : {0, 1, 74, 76, 137}) {
    JobEndFacts facts = facts_of(code);
    facts.status = {};
    facts.opened.reset();
    facts.job.restart = 4;
    for (int64_t before = 0; before < 2; ++before) {
      facts.failed_before = before;
      EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kRequeue) << code;
      EXPECT_EQ(decide_job_end(facts).failed_starts, before + 1);
    }
    facts.failed_before = 2;
    EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kGiveUp) << code;
    EXPECT_EQ(decide_job_end(facts).code, 93);
  }
}

TEST(JobEndDecision, WhatStatusKnowsOfAStartCountsWhereLeasesCannotBeRead) {
  JobEndFacts facts = facts_of(137);
  facts.opened.reset();
  facts.failed_before = 2;
  EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kRequeue) << "STATUS is of this start: it had opened the run";
  EXPECT_EQ(decide_job_end(facts).failed_starts, 0);
  facts.status.launch.job.restart = 1;
  EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kGiveUp);
  facts.code = 75;  // no one else says that
  EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kRequeue);
  EXPECT_EQ(decide_job_end(facts).failed_starts, 0);
}

TEST(JobEndDecision, TheOnlyNodeOfAFailedStartIsLeftOutWhereAnotherOneIsLikeIt) {
  for (const int code : {74, 137}) {
    JobEndFacts facts = facts_of(code);
    facts.nodes = {"n1"};
    facts.opened = false;
    facts.spare_nodes = 1;
    EXPECT_EQ(decide_job_end(facts).exclude, "n1");
    facts.spare_nodes = 0;
    EXPECT_EQ(decide_job_end(facts).exclude, "") << "it would wait for ever";
    facts.spare_nodes.reset();
    EXPECT_EQ(decide_job_end(facts).exclude, "") << "nobody knows of another one";
    facts.spare_nodes = 5;
    facts.opened = true;
    EXPECT_EQ(decide_job_end(facts).exclude, "") << "the run was opened";
    facts.opened = false;
    facts.nodes = {"n1", "n2"};
    EXPECT_EQ(decide_job_end(facts).exclude, "") << "which of them?";
    facts.nodes = {"n1"};
    facts.reason = "TimeLimit";
    EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kRequeue);
    EXPECT_EQ(decide_job_end(facts).exclude, "") << "the node was slow at most";
    facts.reason = "None";
    facts.opened.reset();
    facts.status = {};
    EXPECT_EQ(decide_job_end(facts).exclude, "n1") << "it does not see the run folder";
  }
}

TEST(JobEndDecision, JobsThatSlurmEndsAreNotQueuedAgain) {
  for (const char* state : {"COMPLETING", "CANCELLED", "PENDING", "PREEMPTED", "REQUEUED"})
    for (const int code : {74, 75, 76, 143}) {
      JobEndFacts facts = facts_of(code);
      facts.state = state;
      EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kLeave) << state;
    }
  // Nor does it matter for what is final: the later jobs must go.
  JobEndFacts facts = facts_of(5);
  facts.state = "COMPLETING";
  EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kGiveUp);
}

TEST(JobEndDecision, AJobAtItsTimeLimitIsQueuedAgain) {
  for (const char* state : {"COMPLETING", "TIMEOUT"}) {
    JobEndFacts facts = facts_of(143);
    facts.state = state;
    facts.reason = "TimeLimit";
    EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kRequeue);
  }
}

TEST(JobEndDecision, SuspectHardwareExcludesTheNodeThatTheRanksSuspect) {
  JobEndFacts facts = facts_of(76);
  const auto suspect = [&](const std::string& node) {
    facts.status.end = LaunchEnd{ExitCode::kHardware, "device", node};
  };
  suspect("n12");
  EXPECT_EQ(decide_job_end(facts).exclude, "n12");
  suspect("n12.example.org");
  EXPECT_EQ(decide_job_end(facts).exclude, "n12");
  suspect("n123");
  EXPECT_EQ(decide_job_end(facts).exclude, "") << "it is none of the job's";
  suspect("");
  facts.status.text = "nexus: error: CUDA error; rank 3 on n12; replace the GPU";
  EXPECT_EQ(decide_job_end(facts).exclude, "") << "prose decides nothing";
  suspect("n12");
  facts.spare_nodes = 0;
  EXPECT_EQ(decide_job_end(facts).exclude, "") << "without it the job would wait for ever";
  facts.spare_nodes = 1;
  EXPECT_EQ(decide_job_end(facts).exclude, "n12");
  facts.status.end->exit = ExitCode::kTransient;
  EXPECT_EQ(decide_job_end(facts).exclude, "");
}

TEST(JobEndDecision, TheLeaseTellsWhatStatusDoesNot) {
  JobEndFacts facts = facts_of(1);
  facts.status = {};
  facts.lease_end = LaunchEnd{ExitCode::kHardware, "device", "n12"};
  EXPECT_EQ(decide_job_end(facts).code, 76);
  EXPECT_EQ(decide_job_end(facts).exclude, "n12");
  facts.lease_end->exit = ExitCode::kDone;
  facts.code = 0;
  EXPECT_EQ(decide_job_end(facts).action, JobEndAction::kFinish);
  facts.status = parse_status("stopped | exit 75 | generation 4 | job 345 restart 2");
  EXPECT_EQ(decide_job_end(facts).code, 75) << "any rank may have written STATUS, only rank 0 the lease";
}

TEST(SpareNodes, AreLikeTheJobsAndWorkAndAreNotExcluded) {
  const std::string listing =
      "n1|mix|8|1000|a,b|gpu:4\n"     // the job's own
      "n2|idle|8|1000|a,b|gpu:4\n"    // spare
      "n3|alloc-|8|1000|a,b|gpu:4\n"  // spare
      "n4|idle~|8|1000|a,b|gpu:4\n"   // spare
      "n5|down*|8|1000|a,b|gpu:4\n"
      "n6|idle*|8|1000|a,b|gpu:4\n"
      "n7|drain|8|1000|a,b|gpu:4\n"
      "n8|drng|8|1000|a,b|gpu:4\n"
      "n9|idle|8|1000|a|gpu:4\n"
      "n10|idle|4|1000|a,b|gpu:4\n"
      "n11|idle|8|1000|a,b|(null)\n"
      "n12|maint|8|1000|a,b|gpu:4\n"
      "torn line\n";
  EXPECT_EQ(count_spare_nodes(listing, {"n1"}, {}), 3);
  EXPECT_EQ(count_spare_nodes(listing, {"n1"}, {"n2", "n4"}), 1);
  EXPECT_EQ(count_spare_nodes(listing, {"n1", "n3"}, {}), 2);
  EXPECT_EQ(count_spare_nodes(listing + listing, {"n1"}, {}), 3) << "a node may be listed for two partitions";
  EXPECT_EQ(count_spare_nodes(listing, {"n5"}, {}), 4) << "the job's own may be down";
  EXPECT_EQ(count_spare_nodes(listing, {"n99"}, {}), std::nullopt);
  EXPECT_EQ(count_spare_nodes("", {"n1"}, {}), std::nullopt);
}

}  // namespace
}  // namespace nexus
