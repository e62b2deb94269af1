#include "slurm/settle_decision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "slurm/spare_nodes.h"

namespace nexus {
namespace {

using testing::HasSubstr;

SettleFacts facts_of(int code) {
  SettleFacts facts;
  facts.code = code;
  facts.status = parse_status("running stage s0 step 3 of 10 | generation 4 | job 345 restart 2");
  facts.job = {"345", 2};
  facts.max_requeues = 5;
  facts.state = "RUNNING";
  facts.reason = "None";
  facts.nodes = {"n1", "n12"};
  return facts;
}

void ends_with(SettleFacts& facts, int code) {
  facts.status.end = LaunchEnd{static_cast<ExitCode>(code), "", ""};
}

SettleAction expected_action(int code) {
  if (code == 0) return SettleAction::kFinish;
  if (code == 77) return SettleAction::kLeave;
  if (code == 74 || code == 75 || code == 76 || code > 128) return SettleAction::kRequeue;
  return SettleAction::kGiveUp;
}

TEST(Settle, EveryCodeHasItsAction) {
  for (int code = 2; code < 256; ++code) {  // 0 and 1 are launchers' own, too: see below
    const SettleDecision decision = decide_settle(facts_of(code));
    EXPECT_EQ(decision.action, expected_action(code)) << code;
    EXPECT_EQ(decision.code, code);
    EXPECT_FALSE(decision.why.empty());
    EXPECT_EQ(decision.exclude, "");
  }
}

TEST(Settle, WhatTheRanksLeftInStatusBeatsTheLaunchersCode) {
  for (const int launcher_code : {0, 1, 75, 137, 255})
    for (int code = 0; code < 128; ++code) {
      SettleFacts facts = facts_of(launcher_code);
      ends_with(facts, code);
      EXPECT_EQ(decide_settle(facts).action, expected_action(code)) << launcher_code << " " << code;
      EXPECT_EQ(decide_settle(facts).code, code);
    }
}

TEST(Settle, StatusOfAnotherStartIsNotBelieved) {
  for (const int exit : {0, 5, 75, 93}) {
    SettleFacts facts = facts_of(137);
    ends_with(facts, exit);
    facts.status.launch.job.restart = 1;
    EXPECT_EQ(decide_settle(facts).action, SettleAction::kRequeue);
    EXPECT_EQ(decide_settle(facts).code, 137);
    facts.status.launch.job.restart = 2;
    facts.status.launch.job.id = "344";
    EXPECT_EQ(decide_settle(facts).code, 137);
    facts.status.launch.job.id = "";
    EXPECT_EQ(decide_settle(facts).code, 137);
  }
}

TEST(Settle, OneMeansKilledUnlessStatusSaysOtherwise) {
  SettleFacts facts = facts_of(1);
  EXPECT_EQ(decide_settle(facts).action, SettleAction::kRequeue);
  ends_with(facts, 1);
  EXPECT_EQ(decide_settle(facts).action, SettleAction::kGiveUp);
}

TEST(Settle, AStartThatWasReplacedTouchesNothing) {
  for (const int code : {0, 1, 2, 5, 75, 93, 137}) {
    SettleFacts facts = facts_of(code);
    facts.replaced = true;
    EXPECT_EQ(decide_settle(facts).action, SettleAction::kLeave);
    EXPECT_EQ(decide_settle(facts).code, 77);
  }
}

TEST(Settle, ZeroWithoutStatusMeansKilled) {
  EXPECT_EQ(decide_settle(facts_of(0)).action, SettleAction::kRequeue);
  EXPECT_EQ(decide_settle(facts_of(0)).code, 137);
}

TEST(Settle, AnOlderStartLeavesEverythingToTheNewerOne) {
  for (const int code : {0, 1, 5, 74, 75, 93, 137}) {
    SettleFacts facts = facts_of(code);
    facts.status.launch.job.restart = 3;
    EXPECT_EQ(decide_settle(facts).action, SettleAction::kLeave) << code;
    EXPECT_EQ(decide_settle(facts).code, 77);
  }
}

TEST(Settle, AFencedCopyTouchesNothingWhateverStatusSays) {
  SettleFacts facts = facts_of(77);
  ends_with(facts, 75);
  EXPECT_EQ(decide_settle(facts).action, SettleAction::kLeave);
  EXPECT_EQ(decide_settle(facts).code, 77);
}

TEST(Settle, RequeuesAreBounded) {
  for (const int code : {74, 75, 76, 129, 137, 143, 255}) {
    SettleFacts facts = facts_of(code);
    facts.job.restart = facts.status.launch.job.restart = 4;
    EXPECT_EQ(decide_settle(facts).action, SettleAction::kRequeue) << code;
    facts.job.restart = facts.status.launch.job.restart = 5;
    EXPECT_EQ(decide_settle(facts).action, SettleAction::kGiveUp) << code;
    EXPECT_THAT(decide_settle(facts).why, HasSubstr("max_requeues"));
  }
}

TEST(Settle, StartsThatNeverOpenTheRunEndInNoProgress) {
  SettleFacts facts = facts_of(137);
  facts.vain_starts = 2;
  EXPECT_EQ(decide_settle(facts).action, SettleAction::kRequeue);
  facts.vain_starts = 3;
  EXPECT_EQ(decide_settle(facts).action, SettleAction::kGiveUp);
  EXPECT_EQ(decide_settle(facts).code, 93);
}

TEST(Settle, BlindStartsAreBoundedLikeThoseInVain) {
  for (const int code : {0, 1, 74, 76, 137}) {
    SettleFacts facts = facts_of(code);
    facts.status = {};
    facts.blind = true;
    facts.job.restart = 4;
    for (int64_t before = 0; before < 2; ++before) {
      facts.blind_starts = before;
      EXPECT_EQ(decide_settle(facts).action, SettleAction::kRequeue) << code;
      EXPECT_EQ(decide_settle(facts).blind_starts, before + 1);
    }
    facts.blind_starts = 2;
    EXPECT_EQ(decide_settle(facts).action, SettleAction::kGiveUp) << code;
    EXPECT_EQ(decide_settle(facts).code, 93);
  }
}

TEST(Settle, WhatIsKnownOfABlindStartCounts) {
  SettleFacts facts = facts_of(137);
  facts.blind = true;
  facts.blind_starts = 2;
  EXPECT_EQ(decide_settle(facts).action, SettleAction::kRequeue) << "STATUS is of this start: it had opened the run";
  EXPECT_EQ(decide_settle(facts).blind_starts, 0);
  facts.status.launch.job.restart = 1;
  EXPECT_EQ(decide_settle(facts).action, SettleAction::kGiveUp);
  facts.code = 75;  // no one else says that
  EXPECT_EQ(decide_settle(facts).action, SettleAction::kRequeue);
  EXPECT_EQ(decide_settle(facts).blind_starts, 0);
}

TEST(Settle, TheCommentKeepsCountOfBlindStartsInARow) {
  const std::string comment = "nexus:0123:s0";
  EXPECT_EQ(blind_starts_before(comment, 1), 0);
  const std::string first = comment_after_blind(comment, 7, 1), second = comment_after_blind(first, 8, 2);
  EXPECT_EQ(second, "nexus:0123:s0/blind-8-2");
  EXPECT_EQ(blind_starts_before(first, 8), 1);
  EXPECT_EQ(blind_starts_before(second, 9), 2);
  EXPECT_EQ(blind_starts_before(second, 10), 0) << "the start between was not blind";
  for (const char* odd : {"nexus:0123:s0/blind-", "nexus:0123:s0/blind-8", "nexus:0123:s0/blind-8-", "/blind-8--3"})
    EXPECT_EQ(blind_starts_before(odd, 9), 0) << odd;
}

TEST(Settle, TheOnlyNodeOfAStartInVainIsLeftOutWhereAnotherOneIsLikeIt) {
  for (const int code : {74, 137}) {
    SettleFacts facts = facts_of(code);
    facts.nodes = {"n1"};
    facts.vain_starts = 1;
    facts.spare_nodes = 1;
    EXPECT_EQ(decide_settle(facts).exclude, "n1");
    facts.spare_nodes = 0;
    EXPECT_EQ(decide_settle(facts).exclude, "") << "it would wait for ever";
    facts.spare_nodes.reset();
    EXPECT_EQ(decide_settle(facts).exclude, "") << "nobody knows of another one";
    facts.spare_nodes = 5;
    facts.vain_starts = 0;
    EXPECT_EQ(decide_settle(facts).exclude, "") << "the run was opened";
    facts.vain_starts = 1;
    facts.nodes = {"n1", "n2"};
    EXPECT_EQ(decide_settle(facts).exclude, "") << "which of them?";
    facts.nodes = {"n1"};
    facts.reason = "TimeLimit";
    EXPECT_EQ(decide_settle(facts).action, SettleAction::kRequeue);
    EXPECT_EQ(decide_settle(facts).exclude, "") << "the node was slow at most";
    facts.reason = "None";
    facts.blind = true;
    facts.vain_starts = 0;
    facts.status = {};
    EXPECT_EQ(decide_settle(facts).exclude, "n1") << "it does not see the run folder";
  }
}

TEST(Settle, JobsThatSlurmEndsAreNotQueuedAgain) {
  for (const char* state : {"COMPLETING", "CANCELLED", "PENDING", "PREEMPTED", "REQUEUED"})
    for (const int code : {74, 75, 76, 143}) {
      SettleFacts facts = facts_of(code);
      facts.state = state;
      EXPECT_EQ(decide_settle(facts).action, SettleAction::kLeave) << state;
    }
  // Nor does it matter for what is final: the later jobs must go.
  SettleFacts facts = facts_of(5);
  facts.state = "COMPLETING";
  EXPECT_EQ(decide_settle(facts).action, SettleAction::kGiveUp);
}

TEST(Settle, AJobAtItsTimeLimitIsQueuedAgain) {
  for (const char* state : {"COMPLETING", "TIMEOUT"}) {
    SettleFacts facts = facts_of(143);
    facts.state = state;
    facts.reason = "TimeLimit";
    EXPECT_EQ(decide_settle(facts).action, SettleAction::kRequeue);
  }
}

TEST(Settle, SuspectHardwareExcludesTheNodeThatTheRanksSuspect) {
  SettleFacts facts = facts_of(76);
  const auto suspect = [&](const std::string& node) {
    facts.status.end = LaunchEnd{ExitCode::kHardware, "device", node};
  };
  suspect("n12");
  EXPECT_EQ(decide_settle(facts).exclude, "n12");
  suspect("n12.example.org");
  EXPECT_EQ(decide_settle(facts).exclude, "n12");
  suspect("n123");
  EXPECT_EQ(decide_settle(facts).exclude, "") << "it is none of the job's";
  suspect("");
  facts.status.text = "nexus: error: CUDA error; rank 3 on n12; replace the GPU";
  EXPECT_EQ(decide_settle(facts).exclude, "") << "prose decides nothing";
  suspect("n12");
  facts.spare_nodes = 0;
  EXPECT_EQ(decide_settle(facts).exclude, "") << "without it the job would wait for ever";
  facts.spare_nodes = 1;
  EXPECT_EQ(decide_settle(facts).exclude, "n12");
  facts.status.end->exit = ExitCode::kTransient;
  EXPECT_EQ(decide_settle(facts).exclude, "");
}

TEST(Settle, TheLeaseTellsWhatStatusDoesNot) {
  SettleFacts facts = facts_of(1);
  facts.status = {};
  facts.lease_end = LaunchEnd{ExitCode::kHardware, "device", "n12"};
  EXPECT_EQ(decide_settle(facts).code, 76);
  EXPECT_EQ(decide_settle(facts).exclude, "n12");
  facts.lease_end->exit = ExitCode::kDone;
  facts.code = 0;
  EXPECT_EQ(decide_settle(facts).action, SettleAction::kFinish);
  facts.status = parse_status("stopped | exit 75 | generation 4 | job 345 restart 2");
  EXPECT_EQ(decide_settle(facts).code, 75) << "any rank may have written STATUS, only rank 0 the lease";
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
