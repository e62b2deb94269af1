#include <gtest/gtest.h>

#include "comm/process_grid.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

TEST(SelfCommunicator, AgreesWithItself) {
  const auto self = make_self_communicator();
  EXPECT_EQ(self->size(), 1);
  EXPECT_TRUE(self->any(true));
  EXPECT_FALSE(self->any(false));
  EXPECT_EQ(self->sum(2.5), 2.5);
  EXPECT_EQ(self->max(-3), -3);
  EXPECT_EQ(self->broadcast_text("text"), "text");
  self->require_equal("nothing", "x");
  self->agree("nothing", nullptr);
}

TEST(SelfCommunicator, AgreeRethrowsTheErrorItself) {
  const auto self = make_self_communicator();
  EXPECT_NEXUS_ERROR(self->agree("saving", std::make_exception_ptr(Error(ErrorKind::kIo, "disk full"))), ErrorKind::kIo,
                     ::testing::HasSubstr("disk full"));
}

TEST(ProcessGrid, TakesAllRanksForDataParallelismWhenAuto) {
  ProcessGrid grid(make_self_communicator(), 0, 1);
  EXPECT_EQ(grid.dp_size(), 1);
  EXPECT_EQ(grid.dp_rank(), 0);
}

TEST(ProcessGrid, RefusesAGridThatDoesNotFitAndSaysHowManyRanksWould) {
  EXPECT_NEXUS_ERROR(ProcessGrid(make_self_communicator(), 4, 1), ErrorKind::kConfig,
                     ::testing::HasSubstr("start 4 ranks"));
  EXPECT_NEXUS_ERROR(ProcessGrid(make_self_communicator(), 1, 2), ErrorKind::kConfig, ::testing::HasSubstr("tp"));
}

}  // namespace
}  // namespace nexus
