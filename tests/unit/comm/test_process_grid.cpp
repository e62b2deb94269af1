#include <gtest/gtest.h>

#include "comm/process_grid.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A grid refuses before it splits, so imagined ranks serve.
void make_grid(int ranks, int dp, int tp) {
  ProcessGrid(make_dry_communicator(0, ranks), dp, tp);
}

TEST(ProcessGrid, TakesAllRanksForDataParallelismWhenAuto) {
  ProcessGrid grid(make_self_communicator(), 0, 1);
  EXPECT_EQ(grid.dp_size(), 1);
  EXPECT_EQ(grid.dp_rank(), 0);
  EXPECT_EQ(grid.tp_size(), 1);
  EXPECT_EQ(grid.tp_rank(), 0);
  EXPECT_EQ(grid.dp().name(), "dp");
  EXPECT_EQ(grid.tp().name(), "tp");
}

TEST(ProcessGrid, RefusesAGridThatDoesNotFitAndSaysHowManyRanksWould) {
  EXPECT_NEXUS_ERROR(make_grid(1, 4, 1), ErrorKind::kConfig,
                     AllOf(HasSubstr("dp 4 x tp 1 needs 4 ranks, but 1 were started"), HasSubstr("start 4 ranks"),
                           HasSubstr("set parallel.dp to auto")));
  EXPECT_NEXUS_ERROR(make_grid(4, 1, 3), ErrorKind::kConfig,
                     AllOf(HasSubstr("needs 3 ranks, but 4 were started (which tp 3 does not divide)"),
                           HasSubstr("start 3 ranks"), Not(HasSubstr("auto"))));
}

TEST(ProcessGrid, NamesTheCountsOfRanksThatFitTpWhenDpIsAuto) {
  EXPECT_NEXUS_ERROR(make_grid(8, 0, 3), ErrorKind::kConfig,
                     AllOf(HasSubstr("tp 3 does not divide the 8 ranks that were started; parallel.tp"),
                           HasSubstr("start 6 or 9 ranks, or set parallel.tp to one of 1, 2, 4, 8")));
  EXPECT_NEXUS_ERROR(make_grid(1, 0, 2), ErrorKind::kConfig, HasSubstr("start 2 ranks"));
}

TEST(ProcessGrid, RefusesCountsThatAreNoCounts) {
  EXPECT_NEXUS_ERROR(make_grid(4, 4, 0), ErrorKind::kConfig, HasSubstr("set parallel.tp to 1 or more"));
  EXPECT_NEXUS_ERROR(make_grid(4, 0, -2), ErrorKind::kConfig, HasSubstr("tp is -2"));
  EXPECT_NEXUS_ERROR(make_grid(4, -1, 1), ErrorKind::kConfig, HasSubstr("dp is -1"));
}

TEST(ProcessGrid, NoticesGroupsThatSpanNodes) {
  EXPECT_EQ(spanning_group({"a", "a", "b", "b"}, 2), "");
  EXPECT_EQ(spanning_group({"a", "b", "a", "b"}, 1), "");
  EXPECT_EQ(spanning_group({"a", "a", "a", "b"}, 2), "ranks 2 to 3 run on a and b");
  EXPECT_EQ(spanning_group({"a", "a", "b", "b"}, 4), "ranks 0 to 3 run on a and b");
}

}  // namespace
}  // namespace nexus
