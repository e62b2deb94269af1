#include <gtest/gtest.h>

#include <thread>

#include "comm/communicator.h"
#include "comm/progress.h"

namespace nexus {
namespace {

TEST(Progress, PhasesNestAndComeBack) {
  progress::begin_phase(progress::PhaseKind::kSteps, "step 1");
  {
    const progress::Phase phase("saving");
    EXPECT_EQ(progress::snapshot().phase, "saving");
    EXPECT_EQ(progress::snapshot().kind, progress::PhaseKind::kSteps);
  }
  EXPECT_EQ(progress::snapshot().phase, "step 1");
}

TEST(Progress, NumbersTheCollectivesOfEachCommunicator) {
  const auto world = make_self_communicator();
  const auto dp = world->split(0, 0, "dp");
  world->barrier();
  float value = 1;
  dp->all_reduce_sum(Tensor{&value, DType::kF32, {1}});
  dp->all_reduce_sum(Tensor{&value, DType::kF32, {1}});
  const progress::Snapshot seen = progress::snapshot();
  EXPECT_EQ(seen.operation.name, "all_reduce");
  EXPECT_EQ(seen.operation.communicator, "dp");
  EXPECT_EQ(seen.operation.sequence, 2);
  EXPECT_EQ(seen.operation.elements, 1);
  EXPECT_EQ(seen.operation.type, "f32");
  EXPECT_FALSE(seen.inside);
  ASSERT_EQ(seen.channels.size(), 2u);
  EXPECT_EQ(seen.channels[0].communicator, "world");
  EXPECT_EQ(seen.channels[0].sequence, 1);
  EXPECT_EQ(seen.channels[1].sequence, 2);
}

TEST(Progress, ForgetsCommunicatorsThatAreGone) {
  { const auto gone = make_self_communicator()->split(0, 0, "gone"); }
  for (const progress::Channel::State& channel : progress::snapshot().channels) EXPECT_NE(channel.communicator, "gone");
}

TEST(Progress, EveryReportIsASignOfLife) {
  const auto self = make_self_communicator();
  const auto moves = [](const auto& act) {
    const auto before = progress::last_sign();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    act();
    return progress::last_sign() > before;
  };
  EXPECT_FALSE(moves([] { progress::snapshot(); }));
  EXPECT_TRUE(moves([] { progress::tick(); }));
  EXPECT_TRUE(moves([] { progress::begin_phase(progress::PhaseKind::kStart, "start"); }));
  EXPECT_TRUE(moves([&] { self->barrier(); }));
  const progress::Operation operation{"barrier", "world", 0, 1, 0, "byte"};
  EXPECT_TRUE(moves([&] { const progress::Inside inside(operation); }));
}

TEST(Progress, AnotherThreadSeesWhoIsInsideWhat) {
  progress::Snapshot seen;
  {
    const progress::Inside inside(progress::Operation{"reduce_scatter", "dp", 0, 118, 1000, "bf16"});
    std::thread([&] { seen = progress::snapshot(); }).join();
  }
  EXPECT_TRUE(seen.inside);
  EXPECT_EQ(seen.operation.sequence, 118);
  EXPECT_GE(seen.operation_seconds, 0);
  EXPECT_FALSE(progress::snapshot().inside);
}

TEST(Progress, ADeviceInACollectiveCountsWhileTheMainThreadIsInNone) {
  std::optional<progress::Operation> running = progress::Operation{"all_reduce", "dp/nccl", 0, 7, 100, "f32"};
  progress::watch_device([&running] { return running; });
  EXPECT_TRUE(progress::snapshot().inside);
  EXPECT_EQ(progress::snapshot().operation.sequence, 7);
  {
    const progress::Inside inside(progress::Operation{"barrier", "world", 0, 3, 0, "byte"});
    EXPECT_EQ(progress::snapshot().operation.name, "barrier");
  }
  running.reset();
  EXPECT_FALSE(progress::snapshot().inside);
  EXPECT_EQ(progress::snapshot().operation.name, "barrier");
  progress::watch_device({});
}

}  // namespace
}  // namespace nexus
