#include <gtest/gtest.h>

#include <vector>

#include "comm/communicator.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

TEST(FirstText, IsThatOfTheLowestRankThatHasOne) {
  const std::optional<RankText> first = first_text({"", "b", "c"});
  ASSERT_TRUE(first);
  EXPECT_EQ(first->rank, 1u);
  EXPECT_EQ(first->text, "b");
  EXPECT_FALSE(first_text({"", ""}));
}

TEST(SelfCommunicator, AgreesWithItself) {
  const auto self = make_self_communicator();
  EXPECT_EQ(self->size(), 1);
  EXPECT_TRUE(self->any(true));
  EXPECT_FALSE(self->any(false));
  EXPECT_EQ(self->sum(2.5), 2.5);
  EXPECT_EQ(self->max(-3), -3);
  EXPECT_EQ(self->broadcast_text("text"), "text");
  self->require_equal("nothing", "x");
  self->try_together("nothing", [] {});
}

TEST(SelfCommunicator, ThrowsItsErrorAsItIs) {
  const auto self = make_self_communicator();
  struct DiskFull : Error {
    DiskFull() : Error(ErrorKind::kIo, "disk full") {}
  };
  EXPECT_THROW(self->try_together("saving", [] { throw DiskFull(); }), DiskFull);
  EXPECT_NEXUS_ERROR(self->try_on_rank_0("saving", [] { throw DiskFull(); }), ErrorKind::kIo,
                     ::testing::HasSubstr("disk full"));
}

TEST(SelfCommunicator, CopiesBetweenAPartAndTheWholeAndSumsNothing) {
  const auto self = make_self_communicator();
  std::vector<float> x{1, 2, 3}, mine(3), all(3);
  const Tensor whole{x.data(), DType::kF32, {3}}, part{mine.data(), DType::kF32, {3}};
  self->all_reduce_sum(whole);
  self->reduce_scatter_sum(whole, part);
  EXPECT_EQ(mine, (std::vector<float>{1, 2, 3}));
  self->all_gather(part, Tensor{all.data(), DType::kF32, {3}});
  EXPECT_EQ(all, x);
  self->reduce_scatter_sum(whole, whole);
  EXPECT_EQ(x, mine);
  EXPECT_EQ(self->group_bytes(), 0);
}

TEST(SelfCommunicator, RefusesTensorsThatDoNotFit) {
  const auto self = make_self_communicator();
  std::vector<float> x(4), mine(3);
  EXPECT_NEXUS_ERROR(
      self->reduce_scatter_sum(Tensor{x.data(), DType::kF32, {4}}, Tensor{mine.data(), DType::kF32, {3}}),
      ErrorKind::kInternal, ::testing::HasSubstr("4 elements in 1 parts of 3"));
  EXPECT_NEXUS_ERROR(self->all_reduce_sum(Tensor{x.data(), DType::kI32, {4}}), ErrorKind::kInternal,
                     ::testing::HasSubstr("i32"));
}

TEST(DryCommunicator, CountsTheBytesOfImaginedRanksWithoutMemory) {
  const auto dry = make_dry_communicator(2, 4);
  EXPECT_EQ(dry->rank(), 2);
  EXPECT_EQ(dry->size(), 4);
  const Tensor x{nullptr, DType::kBF16, {8, 100}}, mine{nullptr, DType::kBF16, {2, 100}};
  dry->reduce_scatter_sum(x, mine);
  EXPECT_EQ(dry->group_bytes(), 3 * 1600);
  dry->all_gather(mine, x);
  EXPECT_EQ(dry->group_bytes(), 6 * 1600);
  dry->all_reduce_sum(x);
  EXPECT_EQ(dry->group_bytes(), 12 * 1600);
  dry->barrier();
  EXPECT_EQ(dry->all_gather_text("t"), (std::vector<std::string>{"t", "t", "t", "t"}));
  EXPECT_EQ(dry->group_bytes(), 12 * 1600);
}

TEST(DryCommunicator, RefusesPartsThatDoNotDivideTheTensor) {
  const auto dry = make_dry_communicator(0, 3);
  EXPECT_NEXUS_ERROR(dry->all_gather(Tensor{nullptr, DType::kF32, {33}}, Tensor{nullptr, DType::kF32, {100}}),
                     ErrorKind::kInternal, ::testing::HasSubstr("100 elements in 3 parts of 33"));
}

TEST(DryCommunicator, CannotSplitRanksThatDoNotExist) {
  EXPECT_EQ(make_dry_communicator(0, 1)->split(0, 0, "dp")->size(), 1);
  EXPECT_NEXUS_ERROR(make_dry_communicator(0, 2)->split(0, 0, "dp"), ErrorKind::kInternal,
                     ::testing::HasSubstr("2 imagined ranks"));
}

}  // namespace
}  // namespace nexus
