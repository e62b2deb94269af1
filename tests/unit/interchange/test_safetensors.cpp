// Files that are well formed come back as they were; every kind of malformed one is refused by name.
#include "interchange/safetensors.h"

#include <cmath>
#include <cstring>
#include <fstream>

#include "core/files.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;

class Safetensors : public ::testing::Test {
 protected:
  // A file of this header and so many bytes of data.
  std::string file(const std::string& header, size_t data_bytes = 0) {
    return raw(header.size(), header + std::string(data_bytes, '\1'));
  }
  std::string raw(uint64_t header_bytes, const std::string& rest) {
    const std::string path = folder_ / "model.safetensors";
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(&header_bytes), sizeof(header_bytes));
    out << rest;
    return path;
  }
  void expect_refused(const std::string& path, const std::string& what) {
    EXPECT_NEXUS_ERROR(SafetensorsReader{path}, ErrorKind::kCheckpoint, HasSubstr(what));
  }

  TempFolder folder_;
};

// Of a tensor with these fields.
std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape, offsets);
}

TEST_F(Safetensors, WhatIsWrittenIsRead) {
  const std::string path = folder_ / "a";
  SafetensorsWriter writer(path, DType::kF32, {{"b", "", {2, 3}, 0, 0}, {"a", "", {2}, 0, 0}, {"none", "", {0}, 0, 0}});
  const std::vector<float> b = {1, -2, 3.25f, 0, 1e-38f, 6}, a = {7, 8};
  writer.write(b);
  writer.write(a);
  writer.write({});
  writer.finish();
  const SafetensorsReader reader(path);
  EXPECT_EQ(reader.tensors().size(), 3u);
  EXPECT_EQ(reader.tensors().at("b"), (SafetensorsTensor{"b", "F32", {2, 3}, 0, 24}));
  EXPECT_EQ(reader.read_f32("b"), b);
  EXPECT_EQ(reader.read_f32("a"), a);
  EXPECT_TRUE(reader.read_f32("none").empty());
}

TEST_F(Safetensors, Bf16IsRoundedToEven) {
  const std::string path = folder_ / "a";
  SafetensorsWriter writer(path, DType::kBF16, {{"x", "", {3}, 0, 0}});
  writer.write({1.0f, 1.00390625f, 1.01171875f});  // 1 + 1/256: a tie; 1 + 3/256: another
  writer.finish();
  EXPECT_EQ(SafetensorsReader(path).read_f32("x"), (std::vector<float>{1.0f, 1.0f, 1.015625f}));
}

TEST_F(Safetensors, F16IsReadExactly) {
  const std::vector<uint16_t> halves = {0x3C00, 0xC000, 0x0001, 0x03FF, 0x0400, 0x7BFF, 0x8000, 0x7C00, 0x7E00};
  std::string data(halves.size() * 2, '\0');
  std::memcpy(data.data(), halves.data(), data.size());
  const std::string header = "{" + entry("x", "F16", "[9]", "[0,18]") + "}";
  const std::vector<float> values = SafetensorsReader(raw(header.size(), header + data)).read_f32("x");
  const std::vector<float> expected = {
      1, -2, std::ldexp(1.0f, -24), std::ldexp(1023.0f, -24), std::ldexp(1.0f, -14), 65504, -0.0f, INFINITY};
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(values[i], expected[i]) << i;
  EXPECT_TRUE(std::signbit(values[6]));
  EXPECT_TRUE(std::isnan(values[8]));
}

TEST_F(Safetensors, HeadersOfTheFormatAreRead) {
  const std::string path = file(R"({"__metadata__":{"format":"pt"},)" + entry("b", "F32", "[1]", "[2,6]") + "," +
                                    entry("a", "BF16", "[]", "[0,2]") + "}   ",
                                6);
  const SafetensorsReader reader(path);
  EXPECT_EQ(reader.tensors().size(), 2u);
  EXPECT_EQ(reader.read_f32("a").size(), 1u);  // a scalar
}

TEST_F(Safetensors, LengthsOfTheHeader) {
  const std::string path = folder_ / "short";
  write_file_durably(path, "1234567");
  expect_refused(path, "7 bytes are no safetensors file");
  expect_refused(raw(3, "{}"), "longer than the file");
  expect_refused(raw(~uint64_t{0}, "{}"), "longer than the file");
  expect_refused(raw(uint64_t{1} << 63, "{}"), "longer than the file");
  expect_refused(raw(0, ""), "not valid JSON");
}

TEST_F(Safetensors, AHeaderBeyondTheLimit) {
  const std::string path = raw(200'000'000, "{}");
  std::filesystem::resize_file(path, 300'000'000);  // holes: nothing is stored
  expect_refused(path, "longer than 100000000");
}

TEST_F(Safetensors, NotAFile) {
  EXPECT_NEXUS_ERROR(SafetensorsReader{folder_.path()}, ErrorKind::kCheckpoint, HasSubstr("no regular file"));
  EXPECT_NEXUS_ERROR(SafetensorsReader{folder_ / "none"}, ErrorKind::kIo, HasSubstr("none"));
}

TEST_F(Safetensors, HeadersThatAreNoHeaders) {
  expect_refused(file("[]"), "no JSON object");
  expect_refused(file("{"), "not valid JSON");
  expect_refused(file(R"({"x":3})"), "JSON object expected");
  expect_refused(file(R"({"x":{"dtype":"F32","shape":[]}})"), "'data_offsets' is missing");
  expect_refused(file(R"({"x":{"dtype":"F32","shape":[],"data_offsets":[0,4],"y":1}})", 4), "unknown field 'y'");
  expect_refused(file(R"({"x":{"dtype":5,"shape":[],"data_offsets":[0,4]}})", 4), "'dtype' is no text");
  expect_refused(file("{\"x\":" + std::string(100000, '[')), "nested deeper");
}

TEST_F(Safetensors, NamesThatRepeat) {
  const std::string x = entry("x", "F32", "[1]", "[0,4]");
  expect_refused(file("{" + x + "," + entry("x", "F32", "[1]", "[4,8]") + "}", 8), "repeated key");
}

TEST_F(Safetensors, UnknownTypes) {
  expect_refused(file("{" + entry("x", "F31", "[1]", "[0,4]") + "}", 4), "unknown type \"F31\"");
  const SafetensorsReader whole_numbers(file("{" + entry("x", "I32", "[1]", "[0,4]") + "}", 4));
  EXPECT_NEXUS_ERROR(whole_numbers.read_f32("x"), ErrorKind::kCheckpoint, HasSubstr("tensor \"x\" is I32"));
}

TEST_F(Safetensors, ShapesThatOverflow) {
  const std::string half = "[4294967296,2147483648]";  // 2^63 elements
  expect_refused(file("{" + entry("x", "F32", half, "[0,0]") + "}"), "beyond all memory");
  // 2^64 elements of one byte would be 0 of them
  expect_refused(file("{" + entry("x", "U8", "[4294967296,4294967296]", "[0,0]") + "}"), "beyond all memory");
  expect_refused(file("{" + entry("x", "F32", "[18446744073709551615]", "[0,0]") + "}"), "'shape' is");
  expect_refused(file("{" + entry("x", "F32", "[-1]", "[0,4]") + "}", 4), "'shape' is -1");
  expect_refused(file("{" + entry("x", "F32", "[1.0]", "[0,4]") + "}", 4), "'shape' is no whole number");
  expect_refused(file("{" + entry("x", "F32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]") + "}", 4), "17 axes");
}

TEST_F(Safetensors, OffsetsOutOfRange) {
  expect_refused(file("{" + entry("x", "F32", "[2]", "[0,8]") + "}", 4), "'data_offsets' is 8");
  expect_refused(file("{" + entry("x", "F32", "[1]", "[-4,0]") + "}", 4), "'data_offsets' is -4");
  expect_refused(file("{" + entry("x", "F32", "[1]", "[4,0]") + "}", 4), "'data_offsets' is 0");
  expect_refused(file("{" + entry("x", "F32", "[1]", "[0,18446744073709551615]") + "}", 4), "'data_offsets' is 1844");
  expect_refused(file("{" + entry("x", "F32", "[1]", "[0]") + "}", 4), "needs two offsets");
}

TEST_F(Safetensors, SizesThatAreNotOfTheShape) {
  expect_refused(file("{" + entry("x", "F32", "[2]", "[0,4]") + "}", 4), "has 4 bytes and, by type and shape, 8");
  expect_refused(file("{" + entry("x", "F32", "[1]", "[0,3]") + "}", 3), "has 3 bytes");
}

TEST_F(Safetensors, TensorsThatOverlap) {
  const std::string a = entry("a", "F32", "[2]", "[0,8]"), b = entry("b", "F32", "[1]", "[4,8]");
  expect_refused(file("{" + a + "," + b + "}", 8), "tensor \"b\" overlaps");
}

TEST_F(Safetensors, BytesOfNoTensor) {
  expect_refused(file("{" + entry("x", "F32", "[1]", "[4,8]") + "}", 8), "4 bytes before tensor \"x\"");
  expect_refused(file("{" + entry("x", "F32", "[1]", "[0,4]") + "}", 6), "2 bytes at the end");
}

}  // namespace
}  // namespace nexus
