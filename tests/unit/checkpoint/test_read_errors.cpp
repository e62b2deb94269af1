// Trouble of reading is no damage: what fails once is tried again, what fails on ends with kIo, and either way every
// checkpoint stays where it is.
#include <cerrno>
#include <limits>

#include "checkpoint/pending_save.h"
#include "checkpoint/retry_io.h"
#include "scratch_run.h"
#include "support/failing_io.h"

namespace nexus {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ReadErrors : public ScratchRun {
 protected:
  ReadErrors() { retry_pause = std::chrono::milliseconds(0); }
  ~ReadErrors() override { retry_pause = std::chrono::milliseconds(100); }

  std::string path(int64_t step) const { return run_.checkpoint("s1", step); }

  // What `work` warned of.
  template <typename Work>
  static std::string warnings_of(const Work& work) {
    ::testing::internal::CaptureStderr();
    try {
      work();
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
    return ::testing::internal::GetCapturedStderr();
  }

  // Does `work` with the first, the second, ... call of a kind failing once, until there is none left to fail.
  template <typename Work>
  static int sweep(const std::string& call, int code, const std::string& path, const Work& work) {
    for (int first = 0;; ++first) {
      const std::string warned = warnings_of([&] {
        const FailingIo failing(call, code, path, 1, first);
        work();
      });
      if (HasFailure()) ADD_FAILURE() << call << " number " << first << ": " << warned;
      if (HasFailure() || warned.find("trying again") == std::string::npos) return first;
    }
  }
};

constexpr int kPassing[] = {EIO, ESTALE, EACCES, EMFILE, ENOMEM};

TEST_F(ReadErrors, AnyReadThatFailsOnceIsTriedAgainAndTheNewestIsResumedFrom) {
  save(1);
  save(2);
  for (const char* call : {"pread", "read", "open", "stat", "readdir"}) {
    for (const int code : {EIO, ESTALE}) {
      const int calls = sweep(call, code, run_.root, [&] { ASSERT_EQ(newest_good_checkpoint(run_), path(2)) << call; });
      EXPECT_GE(calls, 2) << call << ": the injection reached nothing";
    }
  }
  EXPECT_THAT(names(), ElementsAre("0000001", "0000002"));
  EXPECT_NE(read_text_file(run_.checkpoints() + "/LATEST").find("0000002"), std::string::npos);
}

TEST_F(ReadErrors, AReadThatGoesOnFailingStopsAndSetsNothingAside) {
  save(1);
  save(2);
  for (const char* call : {"pread", "read", "open", "stat", "fstat", "readdir"}) {
    for (const int code : kPassing) {
      const FailingIo failing(call, code, call == std::string("readdir") ? "checkpoints" : "0000002");
      const std::string warned = warnings_of(
          [&] { EXPECT_NEXUS_ERROR(newest_good_checkpoint(run_), ErrorKind::kIo, HasSubstr(std::strerror(code))); });
      EXPECT_THAT(warned, HasSubstr("trying again")) << call;
    }
    EXPECT_THAT(names(), ElementsAre("0000001", "0000002")) << call;
    EXPECT_EQ(newest_good_checkpoint(run_), path(2));
  }
}

// Of HDF5's own reads as well, wherever in its metadata they are.
TEST_F(ReadErrors, NoReadOfAShardThatGoesOnFailingIsTakenForDamage) {
  save(1);
  for (const auto& [call, least] : {std::pair{"pread", 8}, {"open", 4}, {"stat", 3}, {"fstat", 2}}) {
    for (const int code : kPassing) {
      bool failed = true;
      int first = 0;
      for (; failed && first < 100; ++first) {
        const FailingIo failing(call, code, "shard-0000.h5", -1, first);
        failed = false;
        warnings_of([&] {
          try {
            Checkpoint(path(1)).require_finite();
          } catch (const Error& error) {
            failed = true;
            EXPECT_EQ(error.kind(), ErrorKind::kIo) << call << " from number " << first << ": " << error.what();
          }
        });
      }
      EXPECT_GE(first, least) << call << " of the digest's, HDF5's and the values' reading";
      EXPECT_LT(first, 100) << call;
    }
  }
}

TEST_F(ReadErrors, AFileThatSeemsToEndEarlyIsNotTakenForDamageUnlessItIsShorter) {
  save(1);
  save(2);
  {
    const FailingIo failing("pread", 0, "0000002/shard");
    EXPECT_NEXUS_ERROR(newest_good_checkpoint(run_), ErrorKind::kIo, HasSubstr("the file ends at byte 0"));
  }
  EXPECT_THAT(names(), ElementsAre("0000001", "0000002"));
  fs::resize_file(path(2) + "/shard-0000.h5", fs::file_size(path(2) + "/shard-0000.h5") - 1);
  EXPECT_EQ(newest_good_checkpoint(run_), path(1));
  EXPECT_THAT(names(), ElementsAre("0000001", "0000002.bad"));
}

TEST_F(ReadErrors, AnOlderCheckpointIsNotChosenWhileANewerOneCannotBeRead) {
  save(1);
  save(2);
  const FailingIo failing("open+stat", EIO, "0000002/MANIFEST.json");
  EXPECT_NEXUS_ERROR(newest_good_checkpoint(run_), ErrorKind::kIo, HasSubstr("0000002"));
  EXPECT_NEXUS_ERROR(list_checkpoints(run_), ErrorKind::kIo, HasSubstr("0000002"));
  const std::vector<CheckpointEntry> shown = list_checkpoints(run_, /*unreadable_too=*/true);
  ASSERT_EQ(shown.size(), 2u);
  EXPECT_EQ(shown[0].problem, "");
  EXPECT_THAT(shown[1].problem, HasSubstr("could not be read: "));
}

// Its sequence would be unknown, and the new checkpoint might get the same.
TEST_F(ReadErrors, NothingIsCommittedWhileTheNewestSequenceCannotBeRead) {
  save(1);
  {
    const FailingIo failing("read", EIO, "0000001/MANIFEST.json");
    EXPECT_NEXUS_ERROR(save(2), ErrorKind::kIo, HasSubstr("Input/output error"));
  }
  EXPECT_THAT(names(), ElementsAre("0000001"));
  save(2);
  EXPECT_EQ(Checkpoint(path(2)).sequence(), 2);
}

TEST_F(ReadErrors, PruningRemovesNothingWhileOneCannotBeRead) {
  for (int step = 1; step <= 4; ++step) save(step);
  for (const char* file : {"0000001/state.json", "0000004/MANIFEST.json", "0000004/shard"}) {
    const FailingIo failing("open", ESTALE, file);
    EXPECT_NEXUS_ERROR(prune_checkpoints(run_, {}), ErrorKind::kIo, HasSubstr(std::strerror(ESTALE)));
    EXPECT_EQ(names().size(), 4u) << file;
  }
  EXPECT_EQ(prune_checkpoints(run_, {}).size(), 2u);
}

TEST_F(ReadErrors, AFolderWhoseAgeCannotBeToldIsNotTakenForALeftover) {
  save(1);
  fs::create_directories(path(2) + ".tmp-0-12345678");
  fs::last_write_time(path(2) + ".tmp-0-12345678", fs::file_time_type::min() + std::chrono::hours(1));
  KeepPolicy policy;
  policy.min_temporary_age_seconds = 3600;
  {
    const FailingIo failing("stat", EIO, ".tmp-0-12345678");
    prune_checkpoints(run_, policy);
  }
  EXPECT_THAT(names(), ElementsAre("0000001", "0000002.tmp-0-12345678"));
  prune_checkpoints(run_, policy);
  EXPECT_THAT(names(), ElementsAre("0000001"));
}

TEST_F(ReadErrors, ARenameThatFailsSetsNothingAsideAndTheGoodOneIsResumedFrom) {
  save(1);
  save(2);
  flip_bit(path(2) + "/shard-0000.h5", 300, 3);
  {
    const FailingIo failing("rename", EACCES, "0000002");
    EXPECT_EQ(newest_good_checkpoint(run_), path(1));
  }
  EXPECT_THAT(names(), ElementsAre("0000001", "0000002"));
}

TEST_F(ReadErrors, ReadingAnOpenCheckpointGoesOnAfterAStaleHandle) {
  save(1);
  const Checkpoint checkpoint(path(1), /*verify_data=*/false);
  std::vector<float> weight(30);
  checkpoint.read("master/layers.0.w", {0, 6, 0, 5}, weight.data());
  const int reads = sweep("pread", ESTALE, "shard-0000.h5", [&] {
    std::fill(weight.begin(), weight.end(), 0.0f);
    checkpoint.read("master/layers.0.w", {0, 6, 0, 5}, weight.data());
    EXPECT_EQ(weight[29], 30.0f);
  });
  EXPECT_GE(reads, 1);
  const FailingIo failing("pread", EIO, "shard-0000.h5");
  EXPECT_NEXUS_ERROR(checkpoint.read("master/layers.0.w", {0, 6, 0, 5}, weight.data()), ErrorKind::kIo,
                     HasSubstr("Input/output error"));
}

TEST_F(ReadErrors, WhatASaveReadsBackIsReadAgainAndItsTroubleIsNeverDamage) {
  save(1);
  const int reads = sweep("pread", EIO, "shard-0000.h5", [&] {
    save(2);
    expect_holds(path(2), 2);
  });
  EXPECT_GE(reads, 4) << "HDF5's metadata, the one pass";
  for (int first = 0; first < 6; ++first) {  // what makes the file is not tried again
    const FailingIo failing("open", ESTALE, "shard-0000.h5", 1, first);
    try {
      save(2);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kIo) << error.what();
    }
  }
  for (const char* call : {"pread", "open", "fstat"}) {
    const FailingIo failing(call, EIO, "shard-0000.h5");
    EXPECT_NEXUS_ERROR(save(3), ErrorKind::kIo, HasSubstr("Input/output error"));
  }
  {
    const FailingIo failing("pread", 0, "shard-0000.h5");
    EXPECT_NEXUS_ERROR(save(3), ErrorKind::kIo, Not(HasSubstr("resume from an older checkpoint")));
  }
  EXPECT_THAT(names(), ElementsAre("0000001", "0000002"));
}

}  // namespace
}  // namespace nexus
