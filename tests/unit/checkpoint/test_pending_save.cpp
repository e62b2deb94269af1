// Saves in the background: training goes on, and whatever happens to the thread, only commit() makes a checkpoint.
#include "checkpoint/pending_save.h"

#include <sys/wait.h>

#include <condition_variable>
#include <csignal>
#include <mutex>

#include "checkpoint/fault_points.h"
#include "checkpoint/hdf5_handle.h"
#include "pair_communicator.h"
#include "scratch_run.h"

namespace nexus {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

// Holds whoever calls pass() until open().
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    reached_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void wait_until_reached() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return reached_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reached_ = false, open_ = false;
};

class Pending : public ScratchRun {
 protected:
  ~Pending() override { set_fault_hook({}); }

  // Starts the save that ScratchRun::save makes, from a snapshot of its own.
  std::unique_ptr<PendingSave> begin(int64_t step, const nlohmann::json& extra = nlohmann::json::object()) {
    nlohmann::json state = {{"tokens", step * 1000}, {"loss", 2.5}};
    state.update(extra);
    const auto memory = std::make_shared<std::vector<char>>(1000);
    return std::make_unique<PendingSave>(*comm_, run_, CheckpointId{"run-a", "s1", step},
                                         copied(slices(static_cast<int>(step)), memory->data()), state, memory);
  }

  static std::vector<TensorSlice> copied(std::vector<TensorSlice> slices, char* to) {
    for (TensorSlice& slice : slices) {
      const int64_t bytes = slice.box.count() * size_of(slice.dtype);
      slice.host = std::copy_n(static_cast<const char*>(slice.host), bytes, to) - bytes;
      to += bytes;
    }
    return slices;
  }

  static void wait_until_written(const PendingSave& save) {
    for (int i = 0; i < 6000 && !save.written(); ++i) std::this_thread::sleep_for(10ms);
    ASSERT_TRUE(save.written()) << "a minute is enough for a kilobyte";
  }

  void expect_newest(int64_t step) {
    EXPECT_EQ(newest_good_checkpoint(run_), run_.checkpoint("s1", step));
    expect_holds(run_.checkpoint("s1", step), step);
  }

  std::vector<std::string> temporary_names() const {
    std::vector<std::string> found = names();
    std::erase_if(found, [](const std::string& name) { return name.find(".tmp-") == std::string::npos; });
    return found;
  }
};

TEST_F(Pending, SaveLetsTheStepsGoOnWhileTheWriterIsSlow) {
  save(1);
  Gate gate;
  set_fault_hook([&](std::string_view point) {
    if (point == "shard-write") gate.pass();
  });
  const auto pending = begin(2);
  gate.wait_until_reached();
  for (int step = 0; step < 20; ++step) {
    slices(100 + step);  // the live weights change: the snapshot must not
    EXPECT_FALSE(pending->written());
    expect_newest(1);  // reading another checkpoint does not wait for a writer that is not in HDF5
  }
  gate.open();
  wait_until_written(*pending);
  EXPECT_EQ(newest_good_checkpoint(run_), run_.checkpoint("s1", 1)) << "written is not committed";
  EXPECT_EQ(pending->commit().path, run_.checkpoint("s1", 2));
  expect_newest(2);
  EXPECT_THAT(names(), ElementsAre("0000001", "0000002"));
}

// A disk that hangs: the save says how long it has been silent, and giving it up does not wait for the writer.
TEST_F(Pending, AnAbandonedSaveIsNotWaitedFor) {
  Gate gate;
  set_fault_hook([&](std::string_view point) {
    if (point == "shard-write") gate.pass();
  });
  auto memory = std::make_shared<float>(3.5f);
  const std::weak_ptr<float> held = memory;
  {
    PendingSave pending(*comm_, run_, {"run-a", "s1", 1}, {{"x", DType::kF32, {1}, {0, 1, 0, 1}, memory.get()}}, {},
                        memory);
    memory.reset();
    gate.wait_until_reached();
    std::this_thread::sleep_for(30ms);
    EXPECT_GT(pending.silent_seconds(), 0.02);
    pending.abandon();
  }  // would hang here
  EXPECT_FALSE(held.expired()) << "the writer still reads it";
  EXPECT_TRUE(newest_good_checkpoint(run_).empty());
  gate.open();
  for (int i = 0; i < 6000 && !held.expired(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(held.expired()) << "the writer lets go of its job when it ends";
}

TEST_F(Pending, SaveKeepsItsMemoryUntilItIsDone) {
  const auto memory = std::make_shared<float>(3.5f);
  {
    PendingSave save(*comm_, run_, {"run-a", "s1", 1}, {{"x", DType::kF32, {1}, {0, 1, 0, 1}, memory.get()}}, {},
                     memory);
    EXPECT_EQ(memory.use_count(), 2);
    save.commit();
    EXPECT_EQ(memory.use_count(), 1) << "let go by commit, not only by the destructor";
    EXPECT_NEXUS_ERROR(save.commit(), ErrorKind::kInternal, HasSubstr("committed before"));
  }
  const PendingSave given_up(*comm_, run_, {"run-a", "s1", 2}, {}, {}, memory);
}

TEST_F(Pending, AnErrorAtAnyPointSurfacesInCommitAndLeavesNoRubbish) {
  for (const std::string_view point : kFaultPoints) {
    SCOPED_TRACE(point);
    fs::remove_all(run_.checkpoints());
    save(1);
    std::thread::id thrown_on;
    set_fault_hook([&](std::string_view here) {
      if (here != point) return;
      thrown_on = std::this_thread::get_id();
      throw Error(ErrorKind::kIo, "injected", std::string(here));
    });
    bool failed = false, begun = false;
    try {
      const auto pending = begin(2);
      begun = true;
      wait_until_written(*pending);  // failed counts as written: there is nothing to wait for
      EXPECT_EQ(newest_good_checkpoint(run_), run_.checkpoint("s1", 1));
      pending->commit();
    } catch (const Error& e) {
      failed = true;
      EXPECT_THAT(e.what(), HasSubstr("injected"));
    }
    set_fault_hook({});
    EXPECT_EQ(begun, point != "folder");
    const bool on_thread = point.starts_with("shard") || point == "read-back";
    EXPECT_EQ(thrown_on == std::this_thread::get_id(), !on_thread);
    EXPECT_NE(thrown_on, std::thread::id()) << "the point exists";
    EXPECT_EQ(failed, !is_after_commit(point));
    EXPECT_THAT(temporary_names(), IsEmpty());
    expect_newest(failed ? 1 : 2);
    begin(3)->commit();
    expect_newest(3);
  }
}

TEST_F(Pending, AKillAtAnyPointLeavesAGoodCheckpointAndTheNextSaveSucceeds) {
  for (const std::string_view point : kFaultPoints) {
    SCOPED_TRACE(point);
    fs::remove_all(run_.checkpoints());
    save(1);
    const pid_t child = ::fork();
    if (child == 0) {
      set_fault_hook([&](std::string_view here) {
        if (here == point) ::kill(::getpid(), SIGKILL);
      });
      const auto pending = begin(2);
      while (!pending->written()) std::this_thread::sleep_for(1ms);
      pending->commit();
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    expect_newest(is_after_commit(point) ? 2 : 1);
    begin(2)->commit();
    expect_newest(2);
    prune_checkpoints(run_, {});
    EXPECT_THAT(names(), ElementsAre("0000001", "0000002"));
  }
}

// Rank `bad` of two dies at `point`; returns the other one's exit code: 0 committed, 1 threw.
int run_pair(const RunFolder& run, int bad, std::string_view point) {
  int sockets[2];
  NX_CHECK(::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
  pid_t children[2];
  for (int rank = 0; rank < 2; ++rank) {
    children[rank] = ::fork();
    if (children[rank] != 0) continue;
    ::close(sockets[1 - rank]);
    if (rank == bad)
      set_fault_hook([&](std::string_view here) {
        if (here == point) ::kill(::getpid(), SIGKILL);
      });
    int code = 1;
    try {
      PairCommunicator comm(rank, sockets[rank]);
      const std::vector<float> half(6, static_cast<float>(rank));
      PendingSave pending(comm, run, {"run-a", "s1", 2}, {{"w", DType::kF32, {3, 4}, {0, 3, rank * 2, 2}, half.data()}},
                          {});
      while (!pending.written()) std::this_thread::sleep_for(1ms);
      pending.commit();
      code = 0;
    } catch (const Error&) {
    }
    ::_exit(code);
  }
  for (const int socket : sockets) ::close(socket);
  int status[2] = {0, 0};
  for (int rank = 0; rank < 2; ++rank) ::waitpid(children[rank], &status[rank], 0);
  EXPECT_EQ(WIFSIGNALED(status[bad]), !point.empty());
  EXPECT_TRUE(WIFEXITED(status[1 - bad])) << "the survivor neither hangs nor crashes";
  return WEXITSTATUS(status[1 - bad]);
}

TEST_F(Pending, OneOfTwoRanksKilledAtAnyPointNeverLeavesAHalfCheckpoint) {
  for (const int bad : {0, 1}) {
    for (const std::string_view point : kFaultPoints) {
      const bool on_thread = point.starts_with("shard") || point == "read-back";
      if (bad == 1 && !on_thread) continue;  // rank 0 alone passes it
      SCOPED_TRACE(fmt::format("rank {} at {}", bad, point));
      fs::remove_all(run_.checkpoints());
      save(1);
      EXPECT_EQ(run_pair(run_, bad, point), 1);
      const std::string newest = newest_good_checkpoint(run_);
      EXPECT_EQ(newest, run_.checkpoint("s1", is_after_commit(point) ? 2 : 1));
      EXPECT_EQ(run_pair(run_, 0, ""), 0) << "the next save succeeds";
      float middle[2] = {-1, -1};
      Checkpoint(newest_good_checkpoint(run_)).read("w", {1, 1, 1, 2}, middle);
      EXPECT_THAT(middle, ElementsAre(0.0f, 1.0f));
      prune_checkpoints(run_, {});
      EXPECT_THAT(names(), ElementsAre("0000001", "0000002"));
    }
  }
}

TEST_F(Pending, SaveThatIsNeverCommittedLeavesNothing) {
  save(1);
  static_cast<void>(begin(2));  // at once: the destructor waits for the writer
  EXPECT_THAT(names(), ElementsAre("0000001"));
  const auto written = begin(3);
  wait_until_written(*written);
  EXPECT_EQ(temporary_names().size(), 1u);
  Gate gate;
  std::thread opener;
  {
    set_fault_hook([&](std::string_view point) {
      if (point == "read-back") gate.pass();
    });
    const auto blocked = begin(4);
    gate.wait_until_reached();
    opener = std::thread([&] {
      std::this_thread::sleep_for(50ms);
      gate.open();
    });
  }
  opener.join();
  EXPECT_EQ(temporary_names().size(), 1u) << "that of step 3";
  set_fault_hook([](std::string_view) { throw Error(ErrorKind::kIo, "injected"); });
  EXPECT_NEXUS_ERROR(begin(5), ErrorKind::kIo, HasSubstr("injected"));
  set_fault_hook({});
  written->commit();
  EXPECT_THAT(names(), ElementsAre("0000001", "0000003"));
}

TEST_F(Pending, SavesMayOverlapEachOtherReadingAndPruning) {
  save(1);
  const auto second = begin(2), third = begin(3);
  for (int i = 0; i < 10; ++i) {
    expect_newest(1);
    prune_checkpoints(run_, {});  // must not take the folders of living saves for those of dead ones
  }
  third->commit();
  second->commit();
  EXPECT_EQ(Checkpoint(run_.checkpoint("s1", 2)).sequence(), 3) << "the order of commits, not of beginnings";
  expect_newest(2);
  expect_holds(run_.checkpoint("s1", 3), 3);
}

TEST_F(Pending, UsersOfHdf5WaitForEachOtherAndAnUnlockedCallIsABug) {
  save(1);
  std::atomic<bool> opened{false};
  std::thread reader;
  {
    const Hdf5Lock lock;
    const Hdf5Lock again;  // the same thread may nest them
    reader = std::thread([&] {
      const Checkpoint checkpoint(run_.checkpoint("s1", 1));
      opened = true;
    });
    std::this_thread::sleep_for(100ms);
    EXPECT_FALSE(opened);
  }
  reader.join();
  EXPECT_TRUE(opened);
  EXPECT_NEXUS_ERROR(Hdf5Context(ErrorKind::kIo, "here").check(true, "test"), ErrorKind::kInternal,
                     HasSubstr("without its lock"));
}

}  // namespace
}  // namespace nexus
