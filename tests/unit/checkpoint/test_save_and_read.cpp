#include <cmath>
#include <ctime>
#include <limits>

#include "scratch_run.h"

namespace nexus {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SaveAndRead : public ScratchRun {};

TEST_F(SaveAndRead, GivesBackEveryBitAndTheState) {
  const SaveResult result = save(12);
  EXPECT_EQ(result.path, run_.checkpoint("s1", 12));
  expect_holds(result.path, 12);
  const Checkpoint checkpoint(result.path);
  EXPECT_EQ(checkpoint.size_bytes(), result.size_bytes);
  EXPECT_EQ(checkpoint.id().run_id, "run-a");
  EXPECT_EQ(checkpoint.id().stage, "s1");
  EXPECT_EQ(checkpoint.state().at("loss"), 2.5);
  EXPECT_THAT(checkpoint.tensor_names(), ElementsAre("master/bias", "master/layers.0.w"));
  EXPECT_EQ(checkpoint.info("master/layers.0.w").shape, (Shape{6, 5}));
  EXPECT_EQ(checkpoint.info("master/bias").dtype, DType::kF64);
  EXPECT_THAT(checkpoint.extra_files(), ElementsAre());
}

TEST_F(SaveAndRead, KeepsNanPayloadsSignedZerosAndDenormals) {
  const std::vector<float> odd = {std::nanf("7"), -0.0f, std::numeric_limits<float>::denorm_min(), -INFINITY};
  save_checkpoint(*comm_, run_, {"run-a", "s1", 1}, {{"odd", DType::kF32, {4}, {0, 4, 0, 1}, odd.data()}}, {});
  std::vector<float> back(4);
  Checkpoint(run_.checkpoint("s1", 1)).read("odd", {0, 4, 0, 1}, back.data());
  EXPECT_EQ(std::memcmp(back.data(), odd.data(), 16), 0);
}

// Neither the time nor the folder enters.
TEST_F(SaveAndRead, EqualStatesAreEqualFiles) {
  const std::string first = save(12).path;
  const std::time_t saved = std::time(nullptr);
  while (std::time(nullptr) == saved) {  // HDF5 would keep whole seconds
  }
  const TempFolder folder;
  const RunFolder other{folder.path()};
  const nlohmann::json state = Checkpoint(first).state();
  const std::string second = save_checkpoint(*comm_, other, {"run-a", "s1", 12}, slices(12), state).path;
  for (const char* name : {"shard-0000.h5", "state.json", "MANIFEST.json"})
    EXPECT_TRUE(read_text_file(first + "/" + name) == read_text_file(second + "/" + name)) << name;
}

TEST_F(SaveAndRead, ReadsAnyRowsAcrossSlices) {
  const Checkpoint checkpoint(save(3).path);
  std::vector<double> rows(3);
  checkpoint.read("master/bias", {3, 3, 0, 1}, rows.data());  // slices are rows 0-3 and 4-6
  EXPECT_THAT(rows, ElementsAre(6.5, 7.5, 8.5));
  std::vector<float> matrix(10);
  checkpoint.read("master/layers.0.w", {4, 2, 0, 5}, matrix.data());
  EXPECT_EQ(matrix.front(), 23.0f);
  EXPECT_EQ(matrix.back(), 32.0f);
}

TEST_F(SaveAndRead, RefusesUnknownTensorsAndRowsOutOfRange) {
  const Checkpoint checkpoint(save(3).path);
  double value = 0;
  EXPECT_FALSE(checkpoint.contains("master/other"));
  EXPECT_NEXUS_ERROR(checkpoint.read("master/other", {0, 1, 0, 1}, &value), ErrorKind::kCheckpoint,
                     HasSubstr("master/other"));
  EXPECT_NEXUS_ERROR(checkpoint.info("master/other"), ErrorKind::kCheckpoint, HasSubstr("master/other"));
  EXPECT_NEXUS_ERROR(checkpoint.read("master/bias", {7, 1, 0, 1}, &value), ErrorKind::kInternal, HasSubstr("rows 7+1"));
}

TEST_F(SaveAndRead, RefusesSlicesThatDoNotCoverATensorExactlyOnce) {
  const std::vector<float> data(8);
  const TensorSlice first{"w", DType::kF32, {4, 2}, {0, 2, 0, 2}, data.data()};
  TensorSlice last = first;
  last.box.begin_row = 3;
  last.box.rows = 1;
  const auto attempt = [&](std::vector<TensorSlice> slices) {
    save_checkpoint(*comm_, run_, {"run-a", "s1", 1}, slices, {});
  };
  EXPECT_NEXUS_ERROR(attempt({first}), ErrorKind::kInternal, HasSubstr("rows 2 to 4 of 'w' are missing"));
  EXPECT_NEXUS_ERROR(attempt({first, last}), ErrorKind::kInternal, HasSubstr("rows 2 to 3 of 'w' are missing"));
  last.box.begin_row = 1;
  last.box.rows = 3;
  EXPECT_NEXUS_ERROR(attempt({first, last}), ErrorKind::kInternal, HasSubstr("held twice"));
  last.name = "../w";
  EXPECT_NEXUS_ERROR(attempt({first, last}), ErrorKind::kInternal, HasSubstr("../w"));
  EXPECT_THAT(names(), ElementsAre()) << "failed saves leave nothing behind";
}

TEST_F(SaveAndRead, LeavesOutSlicesOfNoRowsAndRanksOfNoSlices) {
  const float value = 1;
  save_checkpoint(*comm_, run_, {"run-a", "s1", 1},
                  {{"w", DType::kF32, {1}, {0, 1, 0, 1}, &value}, {"w", DType::kF32, {1}, {1, 0, 0, 1}, nullptr}}, {});
  EXPECT_THAT(Checkpoint(run_.checkpoint("s1", 1)).tensor_names(), ElementsAre("w"));
  save_checkpoint(*comm_, run_, {"run-a", "s1", 2}, {}, {{"tokens", 1}});
  EXPECT_THAT(Checkpoint(run_.checkpoint("s1", 2)).tensor_names(), ElementsAre());
}

TEST_F(SaveAndRead, CountsCommitsAndPointsLatestAtTheNewest) {
  save(5);
  save(6);
  save(1, {}, "s2");
  EXPECT_EQ(Checkpoint(run_.checkpoint("s2", 1)).sequence(), 3);
  EXPECT_EQ(read_text_file(run_.checkpoints() + "/LATEST"), "s2/0000001\n");
}

TEST_F(SaveAndRead, ReplacesACheckpointOfTheSameStep) {
  save(5);
  save(6);
  save_checkpoint(*comm_, run_, {"run-a", "s1", 5}, slices(99), {{"tokens", 7}});
  const Checkpoint again(run_.checkpoint("s1", 5));
  EXPECT_EQ(again.sequence(), 3);
  EXPECT_EQ(again.state().at("tokens"), 7);
  std::vector<float> weight(30);
  again.read("master/layers.0.w", {0, 6, 0, 5}, weight.data());
  EXPECT_EQ(weight[0], 99.0f);
  EXPECT_THAT(names(), ElementsAre("0000005", "0000006"));
  EXPECT_EQ(newest_good_checkpoint(run_), run_.checkpoint("s1", 5));
}

TEST_F(SaveAndRead, RefusesAFolderThatWasRenamedOrBelongsToAnotherRun) {
  save(5);
  fs::rename(run_.checkpoint("s1", 5), run_.checkpoint("s1", 6));
  EXPECT_NEXUS_ERROR(Checkpoint(run_.checkpoint("s1", 6)), ErrorKind::kCheckpoint, HasSubstr("renamed or moved"));
  fs::create_directories(run_.checkpoints() + "/s2");
  fs::rename(run_.checkpoint("s1", 6), run_.checkpoint("s2", 5));
  EXPECT_NEXUS_ERROR(Checkpoint(run_.checkpoint("s2", 5) + "/"), ErrorKind::kCheckpoint, HasSubstr("stage s1 step 5"));
  fs::rename(run_.checkpoint("s2", 5), run_.root + "/exported");
  EXPECT_NO_THROW(Checkpoint(run_.root + "/exported").require_run("run-a"));
  EXPECT_NEXUS_ERROR(Checkpoint(run_.root + "/exported").require_run("run-b"), ErrorKind::kCheckpoint,
                     HasSubstr("run-b"));
}

TEST_F(SaveAndRead, DiffTellsNamesShapesAndValuesApart) {
  save(1);
  std::vector<TensorSlice> changed = slices(1);
  std::vector<float> weight(30);
  std::iota(weight.begin(), weight.end(), 1.0f);
  weight[7] += 0.25f;
  weight[9] = NAN;
  const std::vector<double> other(3);
  changed[0].host = weight.data();
  changed[1] = {"master/bias", DType::kF64, {3}, {0, 3, 0, 1}, other.data()};
  changed[2] = {"master/extra", DType::kF64, {3}, {0, 3, 0, 1}, other.data()};
  save_checkpoint(*comm_, run_, {"run-a", "s1", 2}, changed, {});
  const Checkpoint a(run_.checkpoint("s1", 1)), b(run_.checkpoint("s1", 2));
  const std::vector<TensorDiff> diffs = diff_checkpoints(a, b);
  ASSERT_EQ(diffs.size(), 3u);
  EXPECT_EQ(diffs[0].note, "shape [7] against [3]");
  EXPECT_EQ(diffs[1].note, "only in B");
  EXPECT_EQ(diffs[2].name, "master/layers.0.w");
  EXPECT_EQ(diffs[2].differing, 2);
  EXPECT_EQ(diffs[2].count, 30);
  EXPECT_TRUE(std::isinf(diffs[2].max_abs)) << "NaN against a number";
  weight[9] = 10.0f;
  save_checkpoint(*comm_, run_, {"run-a", "s1", 3}, changed, {});
  EXPECT_EQ(diff_checkpoints(a, Checkpoint(run_.checkpoint("s1", 3)))[2].max_abs, 0.25);
  for (const TensorDiff& diff : diff_checkpoints(a, a)) EXPECT_EQ(diff.differing, 0);
}

TEST_F(SaveAndRead, TensorOfSeveralBlocksRoundTripsAndDiffers) {
  // 3 MiB in rows of 1 KiB: several read-back blocks, slice borders inside blocks.
  std::vector<float> data(3 * 1024 * 256);
  std::iota(data.begin(), data.end(), 0.0f);
  const int64_t rows = 3 * 1024, cut = 1700;
  const Shape shape{rows, 256};
  const auto write = [&](int64_t step) {
    save_checkpoint(*comm_, run_, {"run-a", "s1", step},
                    {{"big", DType::kF32, shape, {0, cut, 0, 256}, data.data()},
                     {"big", DType::kF32, shape, {cut, rows - cut, 0, 256}, data.data() + cut * 256}},
                    {});
  };
  write(1);
  data.back() = -1;
  write(2);
  const auto diffs = diff_checkpoints(Checkpoint(run_.checkpoint("s1", 1)), Checkpoint(run_.checkpoint("s1", 2)));
  ASSERT_EQ(diffs.size(), 1u);
  EXPECT_EQ(diffs[0].differing, 1);
}

}  // namespace
}  // namespace nexus
