// Whatever moment a save fails or dies at: older checkpoints stay, the newest good one is right, the next save
// succeeds.
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <random>
#include <stdexcept>
#include <thread>

#include "checkpoint/fault_points.h"
#include "scratch_run.h"

namespace nexus {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Crash : public ScratchRun {
 protected:
  ~Crash() override { set_fault_hook({}); }

  // Runs `work` in a child process that shares the run folder; returns waitpid's status.
  template <typename Work>
  static int in_child(const Work& work) {
    const pid_t child = ::fork();
    if (child == 0) {
      int code = 1;
      try {
        work();
        code = 0;
      } catch (const std::exception& e) {
        std::fprintf(stderr, "child: %s\n", e.what());
      }
      ::_exit(code);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
  }

  void expect_newest(int64_t step) {
    EXPECT_EQ(newest_good_checkpoint(run_), run_.checkpoint("s1", step));
    expect_holds(run_.checkpoint("s1", step), step);
  }
};

TEST_F(Crash, AnErrorAtAnyPointLeavesOlderCheckpointsAndNoRubbish) {
  for (const std::string_view point : kFaultPoints) {
    SCOPED_TRACE(point);
    fs::remove_all(run_.checkpoints());
    save(1);
    int reached = 0;
    set_fault_hook([&](std::string_view here) {
      if (here == point && ++reached > 0) throw Error(ErrorKind::kIo, "injected", std::string(here));
    });
    if (is_after_commit(point))
      EXPECT_NO_THROW(save(2));
    else
      EXPECT_NEXUS_ERROR(save(2), ErrorKind::kIo, HasSubstr("injected"));
    set_fault_hook({});
    EXPECT_EQ(reached, 1) << "the point exists";
    const bool committed = is_after_commit(point);
    EXPECT_EQ(names().size(), committed ? 2u : 1u);
    expect_newest(committed ? 2 : 1);
    save(3);
    expect_newest(3);
  }
}

TEST_F(Crash, AKillAtAnyPointLeavesAGoodCheckpointAndTheNextSaveSucceeds) {
  for (const std::string_view point : kFaultPoints) {
    SCOPED_TRACE(point);
    fs::remove_all(run_.checkpoints());
    save(1);
    const int status = in_child([&] {
      set_fault_hook([&](std::string_view here) {
        if (here == point) ::raise(SIGKILL);
      });
      save(2);
    });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    expect_newest(is_after_commit(point) ? 2 : 1);
    save(2);
    expect_newest(2);
    prune_checkpoints(run_, {});
    EXPECT_THAT(names(), ElementsAre("0000001", "0000002"));
  }
}

TEST_F(Crash, AKillAtAnyPointOfReplacingAStepLeavesTheOldOrTheNew) {
  for (const std::string_view point : kFaultPoints) {
    SCOPED_TRACE(point);
    fs::remove_all(run_.checkpoints());
    save(1);
    in_child([&] {
      set_fault_hook([&](std::string_view here) {
        if (here == point) ::raise(SIGKILL);
      });
      save(1, {{"second", true}});
    });
    expect_newest(1);
    EXPECT_EQ(Checkpoint(run_.checkpoint("s1", 1)).state().contains("second"), is_after_commit(point));
    prune_checkpoints(run_, {});
    EXPECT_THAT(names(), ElementsAre("0000001"));
  }
}

TEST_F(Crash, AKillBeforeTheFirstCommitLeavesNoCheckpoint) {
  in_child([&] {
    set_fault_hook([](std::string_view here) {
      if (here == "rename") ::raise(SIGKILL);
    });
    save(1);
  });
  EXPECT_THAT(list_checkpoints(run_), IsEmpty());
  EXPECT_EQ(newest_good_checkpoint(run_), "");
  save(1);
  expect_newest(1);
}

// kill -9 from outside, at moments nobody chose; the survivor resumes where the newest good checkpoint says.
TEST_F(Crash, KillsAtRandomMomentsNeverLoseACommittedCheckpoint) {
  std::mt19937 random(7);
  int64_t done = 1;
  auto micros = static_cast<int64_t>(save(done).seconds * 1e6) + 1;  // of one save on this disk
  int killed = 0;
  for (int round = 0; round < 40 || done == 1; ++round) {
    if (round >= 40) micros *= 2;  // the host has become slower since: no round was long enough for a save
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        for (int64_t step = done + 1;; ++step) {
          save(step);
          prune_checkpoints(run_, {});
        }
      } catch (const std::exception& e) {
        std::fprintf(stderr, "child: %s\n", e.what());
      }
      ::_exit(1);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(static_cast<int64_t>(random()) % (4 * micros)));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child must not fail by itself";
    ++killed;
    const std::string newest = newest_good_checkpoint(run_);
    for (const std::string& name : names()) ASSERT_EQ(name.find(".bad"), std::string::npos) << "a commit was bad";
    ASSERT_FALSE(newest.empty());
    const int64_t step = Checkpoint(newest).id().step;
    ASSERT_GE(step, done);
    expect_holds(newest, step);
    done = step;
  }
  EXPECT_GE(killed, 40);
}

TEST_F(Crash, AFullDiskAtAnyByteFailsTheSaveAndTheProcessGoesOn) {
  save(1);
  const auto full_bytes = static_cast<rlim_t>(fs::file_size(run_.checkpoint("s1", 1) + "/shard-0000.h5"));
  for (rlim_t limit = 0; limit < full_bytes; limit += full_bytes / 24 + 1) {
    const int status = in_child([&] {
      ::signal(SIGXFSZ, SIG_IGN);  // writes beyond the limit then fail with EFBIG
      rlimit old{};
      ::getrlimit(RLIMIT_FSIZE, &old);
      rlimit small = old;
      small.rlim_cur = limit;
      ::setrlimit(RLIMIT_FSIZE, &small);
      bool refused = false;
      try {
        save(2);
      } catch (const Error& e) {
        refused = e.kind() == ErrorKind::kIo;
      }
      ::setrlimit(RLIMIT_FSIZE, &old);
      if (!refused) throw std::runtime_error("no error on a full disk");
      save(3);
    });
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "limit " << limit << " status " << status;
    expect_newest(3);
    EXPECT_THAT(names(), ElementsAre("0000001", "0000003"));
    fs::remove_all(run_.checkpoint("s1", 3));
  }
}

}  // namespace
}  // namespace nexus
