#include "comm/stall_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

StallDump waiting(int rank, const std::string& name, const std::string& communicator, int64_t sequence,
                  int first_rank = 0) {
  StallDump dump;
  dump.rank = rank;
  dump.size = 4;
  dump.time = "2026-01-02T03:04:05+0000";
  dump.host = "node7";
  dump.pid = 4321;
  dump.idle_seconds = 300;
  dump.state.phase = "stage s240 step 12";
  dump.state.operation = {name, communicator, first_rank, sequence, 1000, "bf16"};
  dump.state.inside = true;
  dump.state.operation_seconds = 299.5;
  dump.state.channels = {{communicator, first_rank, 4, sequence}};
  dump.stack = {"main (nexus+0x10)"};
  return dump;
}

StallDump busy(int rank, const std::string& name, const std::string& communicator, int64_t sequence) {
  StallDump dump = waiting(rank, name, communicator, sequence);
  dump.state.inside = false;
  return dump;
}

TEST(StallReport, NamesTheRankWithoutADump) {
  const std::vector<StallDump> dumps{waiting(0, "reduce_scatter", "dp", 118), waiting(2, "reduce_scatter", "dp", 118),
                                     waiting(3, "reduce_scatter", "dp", 118)};
  EXPECT_EQ(
      explain_stall(dumps, 4, "run/dumps/7"),
      "no progress for 300 s in stage s240 step 12: 3 of 4 ranks wait in reduce_scatter (dp, sequence 118); rank 1 "
      "left no dump (stopped, dead or its node is gone); run/dumps/7; look at the nodes of the ranks without a "
      "dump, then run the same command again");
}

TEST(StallReport, NamesTheRankThatIsInNoCollective) {
  const std::vector<StallDump> dumps{waiting(0, "all_reduce", "dp", 9), busy(1, "all_reduce", "dp", 8)};
  EXPECT_THAT(explain_stall(dumps, 2, "d"),
              AllOf(HasSubstr("1 of 2 ranks wait in all_reduce (dp, sequence 9); "),
                    HasSubstr("rank 1 is in no collective, last in all_reduce (dp, sequence 8) 300 s ago"),
                    HasSubstr("; d; read the stack in rank1.txt, then")));
}

TEST(StallReport, NamesTheRankWhoseSequenceIsBehind) {
  const std::vector<StallDump> dumps{waiting(0, "all_reduce", "dp", 9), waiting(1, "all_reduce", "dp", 9),
                                     waiting(2, "barrier", "dp", 8)};
  EXPECT_THAT(explain_stall(dumps, 3, "d"), AllOf(HasSubstr("2 of 3 ranks wait in all_reduce (dp, sequence 9)"),
                                                  HasSubstr("rank 2 is behind in barrier (dp, sequence 8)")));
}

TEST(StallReport, GroupsOfOneNameAreNotBehindEachOther) {
  const std::vector<StallDump> dumps{waiting(0, "all_reduce", "dp", 9, 0), waiting(1, "all_reduce", "dp", 8, 1),
                                     waiting(2, "all_reduce", "dp", 9, 0), waiting(3, "all_reduce", "dp", 8, 1)};
  EXPECT_THAT(explain_stall(dumps, 4, "d"), HasSubstr("no rank is behind the others: the network"));
}

TEST(StallReport, NamesTheRankThatWaitsInAnotherOperationOfTheSameNumber) {
  const std::vector<StallDump> dumps{waiting(0, "all_reduce", "dp", 9), waiting(1, "all_reduce", "dp", 9),
                                     waiting(2, "barrier", "dp", 9)};
  EXPECT_THAT(explain_stall(dumps, 3, "d"), HasSubstr("rank 2 is in barrier (dp, sequence 9) instead"));
}

TEST(StallReport, SaysWhereALoneRankWas) {
  StallDump dump = busy(0, "", "", 0);
  dump.state.channels.clear();
  EXPECT_THAT(explain_stall({dump}, 1, "d"),
              HasSubstr("no progress for 300 s in stage s240 step 12: rank 0 is in no collective; d; read the stack"));
}

TEST(StallReport, ADumpReadsBackAsItWasWritten) {
  StallDump dump = waiting(3, "reduce_scatter", "dp", 118, 1);
  dump.state.channels.push_back({"world", 0, 8, 7});
  const std::optional<StallDump> read = parse_dump(render_dump(dump));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(render_dump(*read).substr(0, 200), render_dump(dump).substr(0, 200));
  EXPECT_EQ(read->rank, 3);
  EXPECT_EQ(read->host, "node7");
  EXPECT_EQ(read->pid, 4321);
  EXPECT_EQ(read->state.phase, "stage s240 step 12");
  EXPECT_TRUE(read->state.inside);
  EXPECT_EQ(read->state.operation.first_rank, 1);
  EXPECT_EQ(read->state.operation.elements, 1000);
  EXPECT_EQ(read->state.operation_seconds, 299.5);
  ASSERT_EQ(read->state.channels.size(), 2u);
  EXPECT_EQ(read->state.channels[1].communicator, "world");
  EXPECT_EQ(read->state.channels[1].sequence, 7);
  EXPECT_EQ(read->stack, std::vector<std::string>{"  #0 main (nexus+0x10)"});
}

TEST(StallReport, ATornDumpIsNoDump) {
  const std::string text = render_dump(waiting(0, "barrier", "world", 5));
  EXPECT_FALSE(parse_dump(text.substr(0, text.find("stack:"))).has_value());
  EXPECT_FALSE(parse_dump("something else").has_value());
  EXPECT_FALSE(parse_dump("").has_value());
}

TEST(StallReport, ListsRanksShortly) {
  EXPECT_EQ(rank_list({1}), "rank 1");
  EXPECT_EQ(rank_list({1, 3}), "ranks 1 and 3");
  EXPECT_EQ(rank_list({1, 3, 5}), "ranks 1, 3 and 5");
  EXPECT_EQ(rank_list({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}), "ranks 0, 1, 2, 3, 4, 5, 6, 7, ... (10 in all)");
}

}  // namespace
}  // namespace nexus
