// Every damage that a disk or a hand can do to a checkpoint must be refused, with the file named.
#include <hdf5.h>

#include <random>

#include "checkpoint/manifest.h"
#include "checkpoint/shard.h"
#include "core/hash.h"
#include "scratch_run.h"

namespace nexus {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Corruption : public ScratchRun {
 protected:
  void SetUp() override { path_ = save(5).path; }
  void expect_refused(const std::string& part) {
    EXPECT_NEXUS_ERROR(Checkpoint checkpoint(path_), ErrorKind::kCheckpoint, HasSubstr(part));
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

  // Replaces the shard and makes the manifest agree with its new bytes, as a forger would.
  void forge_shard() {
    Manifest manifest = read_manifest(path_);
    for (FileRecord& record : manifest.files) {
      if (record.name != "shard-0000.h5") continue;
      record.size_bytes = static_cast<int64_t>(fs::file_size(file(record.name)));
      record.digest = hash_file(file(record.name));
    }
    overwrite(file("MANIFEST.json"), manifest_to_text(manifest));
  }

  std::string path_;
};

TEST_F(Corruption, OneFlippedBitAnywhereIsAlwaysFound) {
  std::vector<std::string> files;
  std::vector<int64_t> sizes;
  for (const auto& entry : fs::directory_iterator(path_)) {
    files.push_back(entry.path().string());
    sizes.push_back(static_cast<int64_t>(entry.file_size()));
  }
  ASSERT_EQ(files.size(), 3u);
  std::mt19937_64 random(20240229);
  int found = 0;
  const int trials = 600;
  for (int trial = 0; trial < trials; ++trial) {
    const size_t which = static_cast<size_t>(trial) % files.size();
    const auto byte = static_cast<int64_t>(random() % static_cast<uint64_t>(sizes[which]));
    const int bit = static_cast<int>(random() % 8);
    flip_bit(files[which], byte, bit);
    try {
      const Checkpoint checkpoint(path_);
      ADD_FAILURE() << files[which] << " byte " << byte << " bit " << bit;
    } catch (const Error& error) {
      found += error.kind() == ErrorKind::kCheckpoint ? 1 : 0;
    }
    flip_bit(files[which], byte, bit);
  }
  EXPECT_EQ(found, trials);
  expect_holds(path_, 5);
}

TEST_F(Corruption, FlippedDataIsFoundOnReadingEvenIfFilesWereNotVerified) {
  const std::string shard = file("shard-0000.h5");
  const Checkpoint checkpoint(path_, /*verify_data=*/false);
  const float first_weight = 5.0f;  // save(5) counts up from its step
  const std::string bytes = read_text_file(shard);
  const std::string pattern(reinterpret_cast<const char*>(&first_weight), sizeof first_weight);
  const size_t position = bytes.find(pattern + std::string("\0\0\xc0\x40", 4));  // 5.0f, 6.0f
  ASSERT_NE(position, std::string::npos);
  flip_bit(shard, static_cast<int64_t>(position), 0);
  std::vector<float> weight(30);
  EXPECT_NEXUS_ERROR(checkpoint.read("master/layers.0.w", {0, 6, 0, 5}, weight.data()), ErrorKind::kCheckpoint,
                     HasSubstr("master/layers.0.w"));
}

TEST_F(Corruption, TruncatedGrownOrEmptyFilesAreRefused) {
  for (const char* name : {"shard-0000.h5", "state.json", "MANIFEST.json"}) {
    const std::string content = read_text_file(file(name));
    for (const size_t length : {size_t{0}, size_t{1}, content.size() / 2, content.size() - 1}) {
      overwrite(file(name), content.substr(0, length));
      expect_refused(name);
      EXPECT_NEXUS_ERROR(Checkpoint(path_, false), ErrorKind::kCheckpoint,
                         HasSubstr(name));  // needs no hashing of data
    }
    overwrite(file(name), content + '\0');
    expect_refused(name);
    overwrite(file(name), content);
  }
  expect_holds(path_, 5);
}

TEST_F(Corruption, MissingFilesAndFoldersAreNamed) {
  for (const char* name : {"shard-0000.h5", "state.json"}) {
    fs::rename(file(name), file("aside"));
    expect_refused(std::string(name));
    fs::rename(file("aside"), file(name));
  }
  fs::remove(file("MANIFEST.json"));
  expect_refused("no MANIFEST.json");
  path_ = run_.root + "/nowhere";
  expect_refused("there is no such folder");
}

TEST_F(Corruption, FoldersAboveACheckpointAreNamedForWhatTheyAre) {
  const std::string newest = path_;
  const auto refused = [&](const std::string& path, const std::string& what, const std::string& todo) {
    path_ = path;
    expect_refused(what);
    expect_refused(todo);
  };
  const std::string stage = fs::path(newest).parent_path().string();
  refused(stage, "a stage's checkpoints", newest);
  refused(stage + "/", "a stage's checkpoints", newest);
  refused(run_.checkpoints(), "all checkpoints of a run", newest);
  refused(run_.root, "a run folder, no checkpoint", newest);
  refused(run_.root + "/checkpoints/nowhere", "there is no such folder", "nexus ckpt ls");
  refused(newest + "/state.json", "this is a file", "nexus ckpt ls");
  fs::create_directory_symlink(run_.root + "/unmounted", run_.root + "/link");
  EXPECT_NEXUS_ERROR(Checkpoint(run_.root + "/link"), ErrorKind::kIo,
                     ::testing::HasSubstr("a link to a folder that is not there"));
  fs::remove(newest + "/MANIFEST.json");
  refused(newest, "no MANIFEST.json", "restore the folder");
  refused(run_.root, "a run folder, no checkpoint", "none in it");
}

TEST_F(Corruption, ExtraFilesAreReported) {
  overwrite(file("shard-0001.h5"), "left by somebody");
  EXPECT_THAT(Checkpoint(path_).extra_files(), ElementsAre("shard-0001.h5"));
}

TEST_F(Corruption, LinksAndFoldersInPlaceOfFilesAreRefused) {
  fs::rename(file("shard-0000.h5"), run_.root + "/elsewhere.h5");
  fs::create_symlink(run_.root + "/elsewhere.h5", file("shard-0000.h5"));
  expect_refused("not a regular file");
  fs::remove(file("shard-0000.h5"));
  fs::create_directory(file("shard-0000.h5"));
  expect_refused("not a regular file");
}

TEST_F(Corruption, PartsOfOtherCheckpointsAreRefused) {
  const std::string other = save(6).path;
  for (const char* name : {"shard-0000.h5", "state.json", "MANIFEST.json"}) {
    const std::string content = read_text_file(file(name));
    overwrite(file(name), read_text_file(other + "/" + name));
    expect_refused(path_);
    overwrite(file(name), content);
  }
  expect_holds(path_, 5);
}

// --- shards whose digest is right, so that HDF5 does open them

class ForeignShard : public Corruption {
 protected:
  void SetUp() override {
    Corruption::SetUp();
    initialize_hdf5();
    fs::remove(shard());
  }
  std::string shard() const { return file("shard-0000.h5"); }

  // A shard with all datasets of the manifest, the weight made by `make_weight(group)`.
  template <typename Make>
  void write(const Make& make_weight) {
    const hid_t h5 = H5Fcreate(shard().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t group = H5Gcreate2(h5, "master", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    make_dataset(group, "bias@0", H5T_IEEE_F64LE, {4});
    make_dataset(group, "bias@4", H5T_IEEE_F64LE, {3});
    make_weight(group);
    H5Gclose(group);
    H5Fclose(h5);
    forge_shard();
  }

  static void make_dataset(hid_t group, const char* name, hid_t type, std::vector<hsize_t> dims,
                           hid_t create = H5P_DEFAULT) {
    const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
    const hid_t set = H5Dcreate2(group, name, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    ASSERT_GE(set, 0);
    const std::vector<double> zeros(64);
    H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros.data());
    H5Dclose(set);
    H5Sclose(space);
  }
};

TEST_F(ForeignShard, OfTheRightStructureFailsOnItsTensorDigests) {
  write([](hid_t group) { make_dataset(group, "layers.0.w", H5T_IEEE_F32LE, {6, 5}); });
  const Checkpoint checkpoint(path_);
  std::vector<float> weight(30);
  EXPECT_NEXUS_ERROR(checkpoint.read("master/layers.0.w", {0, 6, 0, 5}, weight.data()), ErrorKind::kCheckpoint,
                     HasSubstr("its digest"));
}

TEST_F(ForeignShard, OfAnotherShapeTypeOrNameIsRefused) {
  write([](hid_t group) { make_dataset(group, "layers.0.w", H5T_IEEE_F32LE, {5, 6}); });
  expect_refused("another shape");
  write([](hid_t group) { make_dataset(group, "layers.0.w", H5T_IEEE_F32LE, {30}); });
  expect_refused("another shape");
  write([](hid_t group) { make_dataset(group, "layers.0.w", H5T_STD_I32LE, {6, 5}); });
  expect_refused("another type");
  write([](hid_t group) { make_dataset(group, "layers.0.v", H5T_IEEE_F32LE, {6, 5}); });
  expect_refused("'master/layers.0.w' is missing");
  write([](hid_t group) { H5Gclose(H5Gcreate2(group, "layers.0.w", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)); });
  expect_refused("not a dataset");
}

TEST_F(ForeignShard, ThatReadsOtherFilesOrDecompressesIsRefused) {
  overwrite(run_.root + "/secret", std::string(240, 's'));
  write([&](hid_t group) {
    const hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(create, (run_.root + "/secret").c_str(), 0, 120);
    make_dataset(group, "layers.0.w", H5T_IEEE_F32LE, {6, 5}, create);
    H5Pclose(create);
  });
  expect_refused("in another file");
  write([](hid_t group) {
    const hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk[] = {6, 5};
    H5Pset_chunk(create, 2, chunk);
    make_dataset(group, "layers.0.w", H5T_IEEE_F32LE, {6, 5}, create);
    H5Pclose(create);
  });
  expect_refused("not stored contiguously");
  write([](hid_t group) { H5Lcreate_soft("bias@0", group, "layers.0.w", H5P_DEFAULT, H5P_DEFAULT); });
  expect_refused("not hard");
  write([&](hid_t group) { H5Lcreate_external("/etc/passwd", "/x", group, "layers.0.w", H5P_DEFAULT, H5P_DEFAULT); });
  expect_refused("not hard");
  write([](hid_t group) {  // declared, never written
    const hsize_t dims[] = {6, 5};
    const hid_t space = H5Screate_simple(2, dims, nullptr);
    H5Dclose(H5Dcreate2(group, "layers.0.w", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
  });
  expect_refused("not stored whole");
}

TEST_F(ForeignShard, ThatIsNoHdf5AtAllIsRefused) {
  overwrite(shard(), std::string(10000, 'x'));
  forge_shard();
  expect_refused("cannot open shard");
}

}  // namespace
}  // namespace nexus
