#include "checkpoint/manifest.h"

#include <functional>

#include "core/hash.h"
#include "scratch_run.h"

namespace nexus {
namespace {

using nlohmann::ordered_json;
using ::testing::HasSubstr;

const std::string kDigest(32, 'a');

Manifest sample() {
  Manifest manifest;
  manifest.sequence = 3;
  manifest.id = {"run-a", "s1", 40};
  manifest.hdf5 = "1.10.8";
  manifest.files = {{"shard-0000.h5", 4096, kDigest}, {"shard-0001.h5", 4096, kDigest}, {"state.json", 20, kDigest}};
  manifest.tensors["w"] = {
      DType::kF32, {6, 4}, {{"shard-0000.h5", {0, 4, 0, 4}, kDigest}, {"shard-0001.h5", {4, 2, 0, 4}, kDigest}}};
  return manifest;
}

// The text of a manifest whose document somebody changed and sealed again with a correct digest.
std::string forged(const std::function<void(ordered_json&)>& change) {
  ordered_json document = ordered_json::parse(manifest_to_text(sample()));
  document.erase("digest");
  change(document);
  std::string text = document.dump(1);
  text.resize(text.size() - 2);
  return text + ",\n \"digest\": \"" + hash_text(text) + "\"\n}\n";
}

void expect_refused(const std::string& text, const std::string& part) {
  EXPECT_NEXUS_ERROR(manifest_from_text(text, "M"), ErrorKind::kCheckpoint, HasSubstr(part));
}

TEST(Manifest, SurvivesTextAndBack) {
  const std::string text = manifest_to_text(sample());
  const Manifest back = manifest_from_text(text, "M");
  EXPECT_EQ(manifest_to_text(back), text);
  EXPECT_EQ(back.tensors.at("w").slices[1].box.begin_row, 4);
  EXPECT_EQ(forged([](ordered_json&) {}), text) << "the forger of the other tests seals as we do";
}

TEST(Manifest, RefusesEmptyCutAndFlippedText) {
  const std::string text = manifest_to_text(sample());
  expect_refused("", "empty or cut off");
  expect_refused("{}", "empty or cut off");
  for (size_t length = 0; length < text.size(); ++length) expect_refused(text.substr(0, length), "manifest");
  for (size_t byte = 0; byte < text.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = text;
      flipped[byte] = static_cast<char>(flipped[byte] ^ (1 << bit));
      expect_refused(flipped, "digest");
    }
  }
}

TEST(Manifest, TellsAnotherVersionFromDamage) {
  const std::string newer = forged([](ordered_json& m) { m["version"] = 3; });
  EXPECT_THROW(manifest_from_text(newer, "M"), OtherVersion);
  expect_refused(newer, "format version 3, but this nexus reads versions 1 to 2");
  expect_refused(forged([](ordered_json& m) { m["format"] = "zip"; }), "not a nexus checkpoint");
}

TEST(Manifest, RefusesAbsurdShapes) {
  const auto shape = [](const ordered_json& extents) {
    return forged([&](ordered_json& m) { m["tensors"][0]["shape"] = extents; });
  };
  const int64_t huge = int64_t{1} << 62;
  expect_refused(shape({huge, 4}), "absurdly large");
  expect_refused(shape({huge}), "absurdly large");
  expect_refused(shape({int64_t{1} << 32, int64_t{1} << 32}), "absurdly large");
  expect_refused(shape({UINT64_MAX, 4}), "outside");
  expect_refused(shape({6, 0}), "outside");
  expect_refused(shape({6, -4}), "outside");
  expect_refused(shape({6, 4.0}), "whole number");
  expect_refused(shape(ordered_json::array()), "rank 0");
  expect_refused(shape({6, 1, 1, 1, 4}), "rank 5");
  expect_refused(shape({6, 1 << 20}), "too small for its tensors");
}

TEST(Manifest, RefusesForbiddenNames) {
  for (const char* name : {"", "../w", "a/../b", "/w", "w/", "a//b", "a/./b", ".", "w@4", "w w", "w\n", "\u00e9"}) {
    EXPECT_FALSE(is_tensor_name(name)) << name;
    expect_refused(forged([&](ordered_json& m) { m["tensors"][0]["name"] = name; }), "forbidden name");
  }
  EXPECT_FALSE(is_tensor_name(std::string(201, 'a')));
  EXPECT_TRUE(is_tensor_name("master/layers.0.attn.q.w_m"));
  for (const char* name : {"", "../x.h5", "/etc/passwd", "a/b.h5", ".hidden", "MANIFEST.json"})
    expect_refused(forged([&](ordered_json& m) { m["files"][0]["name"] = name; }), "bad file name");
  expect_refused(forged([](ordered_json& m) { m["stage"] = "../s"; }), "bad stage name");
  expect_refused(forged([](ordered_json& m) { m["run_id"] = "\x1b[2J"; }), "bad run id '?[2J'");
}

TEST(Manifest, RefusesSlicesThatLeaveHolesOrOverlap) {
  const auto slice = [](int index, const char* key, int64_t value) {
    return forged([&](ordered_json& m) { m["tensors"][0]["slices"][static_cast<size_t>(index)][key] = value; });
  };
  expect_refused(slice(1, "begin_row", 5), "rows 4 to 5 of 'w' are missing");
  expect_refused(slice(1, "begin_row", 3), "rows 3 to 4 of 'w' are held twice");
  expect_refused(slice(1, "rows", 1), "rows 5 to 6 of 'w' are missing");
  expect_refused(slice(1, "rows", 3), "beyond its last row");
  expect_refused(slice(1, "rows", INT64_MAX), "outside");
  expect_refused(slice(0, "begin_row", -1), "outside");
  expect_refused(forged([](ordered_json& m) { m["tensors"][0]["slices"].clear(); }), "are missing");
}

TEST(Manifest, HoldsBoxesAndRefusesBadOnes) {
  Manifest manifest = sample();
  manifest.tensors["w"].slices = {{"shard-0000.h5", {0, 6, 0, 3}, kDigest}, {"shard-0001.h5", {0, 6, 3, 1}, kDigest}};
  const std::string text = manifest_to_text(manifest);
  EXPECT_EQ(manifest_from_text(text, "M").tensors.at("w").slices[1].box, (Box{0, 6, 3, 1}));
  EXPECT_THAT(text, HasSubstr("\"begin_column\": 3"));
  EXPECT_THAT(manifest_to_text(sample()), ::testing::Not(HasSubstr("column"))) << "whole rows do not state them";
  const auto columns = [](const ordered_json& begin, const ordered_json& count) {
    return forged([&](ordered_json& m) {
      m["tensors"][0]["slices"][1]["begin_column"] = begin;
      m["tensors"][0]["slices"][1]["columns"] = count;
    });
  };
  expect_refused(columns(1, 3), "columns 0 to 1 of 'w' are missing");
  expect_refused(columns(1, 4), "beyond its last column");
  expect_refused(columns(4, 1), "outside");
  expect_refused(columns(-1, 1), "outside");
  expect_refused(columns(0, 0), "outside");
  expect_refused(columns(0, 5), "outside");
  expect_refused(columns(0, "4"), "whole number");
  const auto erased = [](const char* key) {
    return forged([&](ordered_json& m) {
      m["tensors"][0]["slices"][1] = {{"file", "shard-0001.h5"}, {"begin_row", 4}, {"rows", 2},
                                      {"begin_column", 0},       {"columns", 4},   {"xxh3_128", kDigest}};
      m["tensors"][0]["slices"][1].erase(key);
    });
  };
  expect_refused(erased("columns"), "unknown field 'begin_column'");
  expect_refused(erased("begin_column"), "'begin_column' is missing");
}

// Sanitized code is fifty times slower.
#ifdef __SANITIZE_ADDRESS__
constexpr int64_t kManySlices = 4000;
#else
constexpr int64_t kManySlices = 100000;
#endif

TEST(Manifest, OfAHundredThousandSlicesIsSmallEnoughToBeRead) {
  Manifest manifest = sample();
  manifest.files[0].size_bytes = int64_t{1} << 40;
  manifest.tensors["w"] = {DType::kF32, {kManySlices / 400, 400}, {}};
  for (int64_t i = 0; i < kManySlices; ++i)
    manifest.tensors["w"].slices.push_back({"shard-0000.h5", {i / 400, 1, i % 400, 1}, kDigest});
  const std::string text = manifest_to_text(manifest);
  EXPECT_LT(static_cast<int64_t>(text.size()), kMaxManifestBytes);
  EXPECT_EQ(manifest_from_text(text, "M").tensors.at("w").slices.size(), static_cast<size_t>(kManySlices));
}

TEST(Manifest, RefusesUnknownRepeatedMissingAndMistypedFields) {
  expect_refused(forged([](ordered_json& m) { m["surprise"] = 1; }), "unknown field 'surprise'");
  expect_refused(forged([](ordered_json& m) { m["tensors"][0]["axis"] = 1; }), "unknown field 'axis'");
  expect_refused(forged([](ordered_json& m) { m.erase("step"); }), "'step' is missing");
  expect_refused(forged([](ordered_json& m) { m["step"] = "40"; }), "'step' is no whole number");
  expect_refused(forged([](ordered_json& m) { m["step"] = -1; }), "outside");
  expect_refused(forged([](ordered_json& m) { m["files"] = 7; }), "'files' is no list");
  expect_refused(forged([](ordered_json& m) { m["files"][0]["xxh3_128"] = "zz"; }), "hexadecimal");
  expect_refused(forged([](ordered_json& m) { m["files"].push_back(m["files"][0]); }), "listed twice");
  expect_refused(forged([](ordered_json& m) { m["tensors"].push_back(m["tensors"][0]); }), "listed twice");
  expect_refused(forged([](ordered_json& m) { m["tensors"][0]["dtype"] = "bf16"; }), "unknown dtype");
  expect_refused(forged([](ordered_json& m) { m["files"].erase(2); }), "'state.json' is not listed");
  expect_refused(forged([](ordered_json& m) { m["files"].erase(1); }), "unknown file 'shard-0001.h5'");
  std::string body = manifest_to_text(sample());
  body = body.substr(0, body.find(",\n \"digest\"")) + ",\n \"step\": 41";
  expect_refused(body + ",\n \"digest\": \"" + hash_text(body) + "\"\n}\n", "repeated key");
}

TEST(Manifest, RefusesDeepNestingWithoutRecursion) {
  std::string body = "{\n \"a\": " + std::string(1 << 20, '[') + std::string(1 << 20, ']');
  expect_refused(body + ",\n \"digest\": \"" + hash_text(body) + "\"\n}\n", "nested deeper");
}

}  // namespace
}  // namespace nexus
