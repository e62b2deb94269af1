// What is not finite is not committed, not resumed from, and no reason to lose what is.
#include <limits>

#include "checkpoint/pending_save.h"
#include "scratch_run.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class FiniteCheckpoints : public ScratchRun {
 protected:
  std::string path(int64_t step) const { return run_.checkpoint("s1", step); }

  // A tensor of several blocks of reading, with `value` at one place; in two slices of rows.
  SaveResult save_with(int64_t step, float value, int64_t at, bool must_be_finite) {
    large_.assign(kRows * kColumns, 0.5f);
    large_[static_cast<size_t>(at)] = value;
    std::vector<TensorSlice> tensors = slices(static_cast<int>(step));
    tensors.push_back(
        {"moment2/w", DType::kF32, {kRows, kColumns}, {0, 400, 0, kColumns}, large_.data(), must_be_finite});
    tensors.push_back({"moment2/w",
                       DType::kF32,
                       {kRows, kColumns},
                       {400, kRows - 400, 0, kColumns},
                       large_.data() + 400 * kColumns,
                       must_be_finite});
    return save_checkpoint(*comm_, run_, {"run-a", "s1", step}, tensors, {{"tokens", step * 1000}});
  }

  static constexpr int64_t kRows = 700, kColumns = 1000;

 private:
  std::vector<float> large_;
};

TEST_F(FiniteCheckpoints, AreNotCommittedWhereTheyMustBeFiniteAndAreNot) {
  save(1);
  for (const int64_t at : {0L, 399L * kColumns + 999, 400L * kColumns, kRows * kColumns - 1}) {
    for (const double value : {std::nan(""), kInfinity, -kInfinity}) {
      const std::string place = fmt::format("'moment2/w' holds a value that is not finite, at row {} column {}",
                                            at / kColumns, at % kColumns);
      EXPECT_NEXUS_ERROR(save_with(2, static_cast<float>(value), at, true), ErrorKind::kNumeric, HasSubstr(place));
    }
  }
  EXPECT_THAT(names(), ElementsAre("0000001"));
  save_with(2, std::numeric_limits<float>::max(), 17, true);
  EXPECT_EQ(newest_good_checkpoint(run_), path(2));
}

TEST_F(FiniteCheckpoints, OnesThatAreNotAreFoundInFilesAndNotResumedFrom) {
  save(1);
  save_with(2, static_cast<float>(std::nan("")), 512 * kColumns + 3, false);
  const Checkpoint checkpoint(path(2));  // every byte is as it was written
  EXPECT_NEXUS_ERROR(checkpoint.require_finite(), ErrorKind::kNumeric,
                     AllOf(HasSubstr("'moment2/w'"), HasSubstr("row 512 column 3"), HasSubstr("shard-0000.h5")));
  EXPECT_NO_THROW(Checkpoint(path(1)).require_finite());
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(newest_good_checkpoint(run_, /*read_only=*/true), path(1));
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), AllOf(HasSubstr("not finite"), HasSubstr("falling back")));
  EXPECT_THAT(names(), ElementsAre("0000001", "0000002"));
  EXPECT_EQ(newest_good_checkpoint(run_), path(1));
  EXPECT_THAT(names(), ElementsAre("0000001", "0000002.bad"));
}

TEST_F(FiniteCheckpoints, ValuesOfEightBytesAreLookedAtAsSuch) {
  const std::vector<double> values = {1.0, -kInfinity, 2.0};
  save_checkpoint(*comm_, run_, {"run-a", "s1", 1}, {{"w", DType::kF64, {3}, {0, 3, 0, 1}, values.data()}}, {});
  EXPECT_NEXUS_ERROR(Checkpoint(path(1)).require_finite(), ErrorKind::kNumeric, HasSubstr("row 1 column 0"));
  // Half of this number looks like an infinity of f32.
  const std::vector<double> odd = {std::bit_cast<double>(uint64_t{0x3FF000007F800000})};
  save_checkpoint(*comm_, run_, {"run-a", "s1", 2}, {{"w", DType::kF64, {1}, {0, 1, 0, 1}, odd.data(), true}}, {});
  EXPECT_NO_THROW(Checkpoint(path(2)).require_finite());
}

TEST_F(FiniteCheckpoints, WhenNoneIsFiniteNothingIsTouched) {
  save_with(1, static_cast<float>(kInfinity), 5, false);
  save_with(2, static_cast<float>(kInfinity), 5, false);
  EXPECT_NEXUS_ERROR(newest_good_checkpoint(run_), ErrorKind::kCheckpoint, HasSubstr("none of 2 checkpoints"));
  EXPECT_THAT(names(), ElementsAre("0000001", "0000002"));
}

TEST_F(FiniteCheckpoints, PruningRemovesNothingWhileTheNewestIsNotFinite) {
  for (int step = 1; step <= 3; ++step) save(step);
  save_with(4, static_cast<float>(kInfinity), 5, false);
  KeepPolicy policy;
  policy.keep_last = 1;
  EXPECT_NEXUS_ERROR(prune_checkpoints(run_, policy), ErrorKind::kNumeric, HasSubstr("0000004"));
  EXPECT_EQ(names().size(), 4u);
}

}  // namespace
}  // namespace nexus
