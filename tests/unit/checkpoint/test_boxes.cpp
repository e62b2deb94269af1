// Boxes of any kind go in and other boxes come out.
#include <hdf5.h>

#include <cstring>
#include <random>

#include "checkpoint/manifest.h"
#include "checkpoint/shard.h"
#include "core/hash.h"
#include "scratch_run.h"

namespace nexus {
namespace {

using nlohmann::ordered_json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Boxes : public ScratchRun {
 protected:
  // Saves "w", whose element i holds i, in these boxes; returns the folder.
  std::string save_boxes(const Shape& shape, const std::vector<Box>& boxes) {
    values_.resize(boxes.size());
    std::vector<TensorSlice> slices;
    for (size_t i = 0; i < boxes.size(); ++i) {
      values_[i] = values_of(shape, boxes[i]);
      slices.push_back({"w", DType::kF32, shape, boxes[i], values_[i].data()});
    }
    return save_checkpoint(*comm_, run_, {"run-a", "s1", ++step_}, slices, {}).path;
  }

  static std::vector<float> values_of(const Shape& shape, const Box& box) {
    std::vector<float> values;
    for (int64_t row = box.begin_row; row < box.end_row(); ++row)
      for (int64_t column = box.begin_column; column < box.end_column(); ++column)
        values.push_back(static_cast<float>(row * columns_of(shape) + column));
    return values;
  }

  static void expect_reads(const Checkpoint& checkpoint, const Box& box) {
    const Shape shape = checkpoint.info("w").shape;
    std::vector<float> back(static_cast<size_t>(box.count()) + 1, -1.0f);
    checkpoint.read("w", box, back.data());
    EXPECT_EQ(back.back(), -1.0f) << "nothing behind the box is touched";
    back.pop_back();
    ASSERT_EQ(back, values_of(shape, box))
        << box.begin_row << "+" << box.rows << ", " << box.begin_column << "+" << box.columns;
  }

  // Changes one bit of the first element of box `index` in the file.
  void damage(const std::string& path, size_t index) {
    const std::string shard = path + "/shard-0000.h5";
    const std::string bytes = read_text_file(shard);
    const std::string pattern(reinterpret_cast<const char*>(values_[index].data()), values_[index].size() * 4);
    const size_t position = bytes.find(pattern);
    ASSERT_NE(position, std::string::npos) << "a box is stored as it lies in memory";
    flip_bit(shard, static_cast<int64_t>(position), 0);
  }

  std::vector<std::vector<float>> values_;
  int64_t step_ = 0;
};

TEST_F(Boxes, OfAGridAreReadAsAnyOtherBox) {
  const Shape shape{12, 10};
  const Checkpoint checkpoint(save_boxes(shape, {{0, 5, 0, 4}, {0, 5, 4, 6}, {5, 7, 0, 7}, {5, 7, 7, 3}}));
  for (int64_t row = 0; row < 12; ++row)
    for (int64_t rows = 1; rows <= 12 - row; ++rows)
      for (int64_t column = 0; column < 10; ++column)
        for (int64_t columns = 1; columns <= 10 - column; ++columns)
          expect_reads(checkpoint, {row, rows, column, columns});
}

TEST_F(Boxes, OfARunOfElementsInATensorOfRankThreeAreReadBack) {
  // Elements [0, 33) and [33, 60) of [3, 4, 5]: whole rows and parts of rows, cut across the inner axes.
  const Shape shape{3, 4, 5};
  const Checkpoint checkpoint(save_boxes(shape, {{0, 1, 0, 20}, {1, 1, 0, 13}, {1, 1, 13, 7}, {2, 1, 0, 20}}));
  expect_reads(checkpoint, whole_box(shape));
  expect_reads(checkpoint, {1, 2, 7, 9});
  expect_reads(checkpoint, {0, 3, 19, 1});
}

TEST_F(Boxes, OfEverySizeOfRowAreReadInEveryWay) {
  // Rows of 4 KB are cut out of blocks; rows of 0.4 and 1.6 MB are read by themselves.
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{2000, 1000}, {7, 100000}, {3, 400000}}) {
    const Shape shape{rows, columns};
    const int64_t half = columns / 2, top = rows / 3;
    const Checkpoint checkpoint(
        save_boxes(shape, {{0, top, 0, columns}, {top, rows - top, 0, half}, {top, rows - top, half, columns - half}}));
    expect_reads(checkpoint, whole_box(shape));
    expect_reads(checkpoint, {0, rows, 0, half});
    expect_reads(checkpoint, {0, rows, half - 3, 7});
    expect_reads(checkpoint, {0, rows, columns / 4, half});
    expect_reads(checkpoint, {rows - 1, 1, half + 1, half - 1});
    fs::remove_all(run_.checkpoints());
  }
}

TEST_F(Boxes, ThatWereDamagedAreFoundWheneverAllTheirBytesPassBy) {
  const Shape shape{6, 8};
  const std::string path = save_boxes(shape, {{0, 6, 0, 5}, {0, 6, 5, 3}});
  damage(path, 1);
  const Checkpoint checkpoint(path, /*verify_data=*/false);
  std::vector<float> back(48);
  expect_reads(checkpoint, {0, 6, 0, 5});
  for (const Box& box : {whole_box(shape), Box{0, 6, 5, 3}, Box{0, 6, 4, 4}, Box{0, 6, 6, 2}})
    EXPECT_NEXUS_ERROR(checkpoint.read("w", box, back.data()), ErrorKind::kCheckpoint, HasSubstr("'w' does not match"));
}

TEST_F(Boxes, LieInTheFileAsMatricesNamedByTheirCorner) {
  const std::string path = save_boxes({4, 2, 3}, {{0, 2, 0, 6}, {2, 2, 0, 4}, {2, 2, 4, 2}});
  std::vector<std::string> found;
  {
    const Hdf5Lock lock;
    const hid_t file = H5Fopen((path + "/shard-0000.h5").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    for (const char* name : {"w@0", "w@2,0", "w@2,4"}) {
      const hid_t set = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(set);
      hsize_t extents[3] = {0, 0, 0};
      H5Sget_simple_extent_dims(space, extents, nullptr);
      found.push_back(fmt::format("{} {} {} {}", name, extents[0], extents[1], extents[2]));
      H5Sclose(space);
      H5Dclose(set);
    }
    H5Fclose(file);
  }
  EXPECT_THAT(found, ElementsAre("w@0 2 2 3", "w@2,0 2 4 0", "w@2,4 2 2 0"));
}

TEST_F(Boxes, ThatOverlapOrLeaveHolesAreRefused) {
  const Shape shape{4, 4};
  EXPECT_NEXUS_ERROR(save_boxes(shape, {{0, 4, 0, 2}, {0, 3, 2, 2}}), ErrorKind::kInternal,
                     HasSubstr("rows 3 to 4, columns 2 to 4 of 'w' are missing"));
  EXPECT_NEXUS_ERROR(save_boxes(shape, {{0, 4, 0, 3}, {0, 4, 2, 2}}), ErrorKind::kInternal,
                     HasSubstr("columns 2 to 3 of 'w' are held twice"));
  EXPECT_NEXUS_ERROR(save_boxes(shape, {{0, 4, 0, 4}, {0, 4, 0, 4}}), ErrorKind::kInternal,
                     HasSubstr("'w' is held twice"));
  EXPECT_NEXUS_ERROR(save_boxes(shape, {{0, 4, 2, 3}}), ErrorKind::kInternal, HasSubstr("columns 2+3 of 'w'"));
  EXPECT_THAT(names(), ElementsAre());
}

// A checkpoint as nexus wrote it before slices had columns, spelled out so that it cannot change with the code.
TEST_F(Boxes, OfAVersionOneCheckpointAreItsRows) {
  const std::string path = run_.checkpoint("s1", 7);
  make_folders(path);
  const std::vector<float> values = values_of({5, 3}, {0, 5, 0, 3});
  const std::vector<TensorSlice> rows = {{"w", DType::kF32, {5, 3}, {0, 2, 0, 3}, values.data()},
                                         {"w", DType::kF32, {5, 3}, {2, 3, 0, 3}, values.data() + 6}};
  const ShardRecord shard = write_shard(path, "shard-0000.h5", rows);  // the files themselves have not changed
  overwrite(path + "/state.json", "{\"tokens\": 9}");
  const auto slice = [&](int begin, int count) {
    return ordered_json{{"file", "shard-0000.h5"},
                        {"begin_row", begin},
                        {"rows", count},
                        {"xxh3_128", hash_bytes(values.data() + begin * 3, static_cast<size_t>(count) * 12)}};
  };
  const auto write_manifest = [&](const ordered_json& second) {
    const ordered_json body = {
        {"format", "nexus-checkpoint"},
        {"version", 1},
        {"sequence", 1},
        {"run_id", "run-a"},
        {"stage", "s1"},
        {"step", 7},
        {"hdf5", "1.10.8"},
        {"files",
         {{{"name", "shard-0000.h5"}, {"size_bytes", shard.file.size_bytes}, {"xxh3_128", shard.file.digest}},
          {{"name", "state.json"}, {"size_bytes", 13}, {"xxh3_128", hash_text("{\"tokens\": 9}")}}}},
        {"tensors", {{{"name", "w"}, {"dtype", "f32"}, {"shape", {5, 3}}, {"slices", {slice(0, 2), second}}}}}};
    std::string text = body.dump(1);
    text.resize(text.size() - 2);
    overwrite(path + "/MANIFEST.json", text + ",\n \"digest\": \"" + hash_text(text) + "\"\n}\n");
  };
  write_manifest(slice(2, 3));
  const Checkpoint checkpoint(path);
  expect_reads(checkpoint, {0, 5, 0, 3});
  expect_reads(checkpoint, {1, 3, 1, 2});
  EXPECT_EQ(newest_good_checkpoint(run_), path);
  ordered_json with_columns = slice(2, 3);
  with_columns["begin_column"] = 0;
  with_columns["columns"] = 3;
  write_manifest(with_columns);
  EXPECT_NEXUS_ERROR(Checkpoint{path}, ErrorKind::kCheckpoint, HasSubstr("unknown field"));
}

}  // namespace
}  // namespace nexus
