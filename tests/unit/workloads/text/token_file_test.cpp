#include "workloads/text/token_file.h"

#include <array>
#include <cstring>
#include <functional>
#include <numeric>

#include "core/files.h"
#include "sample_text.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "workloads/text/token_file_content.h"
#include "workloads/text/token_file_convert.h"

namespace nexus {
namespace {

using ::testing::ElementsAre;
using testing::file_content;
using ::testing::HasSubstr;
using testing::write_file;
using Documents = std::vector<std::vector<int32_t>>;

void write_documents(const std::string& prefix, TokenType type, const Documents& documents,
                     int64_t max_sequence = 1 << 30) {
  TokenFileWriter writer(prefix, type, /*modes=*/false, max_sequence);
  for (const auto& document : documents) {
    writer.append(document.data(), static_cast<int64_t>(document.size()));
    writer.end_document();
  }
  writer.finish();
}

// The bytes of an .idx, written out by hand from Megatron's layout.
template <typename... Values>
std::string bytes_of(Values... values) {
  std::string bytes;
  (bytes.append(reinterpret_cast<const char*>(&values), sizeof values), ...);
  return bytes;
}

// An independent reader in the manner of Megatron's: fields at their offsets, documents from the borders.
Documents read_like_megatron(const std::string& prefix) {
  const std::string idx = file_content(prefix + ".idx"), bin = file_content(prefix + ".bin");
  const auto at = [&idx](auto zero, size_t offset) {
    std::memcpy(&zero, idx.data() + offset, sizeof zero);
    return zero;
  };
  EXPECT_EQ(idx.substr(0, 9), std::string("MMIDIDX\0\0", 9));
  const auto sequences = at(uint64_t{}, 18), borders = at(uint64_t{}, 26);
  const size_t size = idx[17] == 8 ? 2 : idx[17] == 5 ? 8 : 4;
  Documents documents;
  for (uint64_t d = 0; d + 1 < borders; ++d) {
    documents.emplace_back();
    const size_t border = 34 + 12 * sequences + 8 * d;
    for (int64_t s = at(int64_t{}, border); s < at(int64_t{}, border + 8); ++s) {
      const auto length = at(int32_t{}, 34 + 4 * static_cast<size_t>(s));
      const auto pointer = static_cast<size_t>(at(int64_t{}, 34 + 4 * sequences + 8 * static_cast<size_t>(s)));
      for (int32_t i = 0; i < length; ++i) {
        int64_t id = 0;
        std::memcpy(&id, bin.data() + pointer + size * static_cast<size_t>(i), size);
        documents.back().push_back(static_cast<int32_t>(id));
      }
    }
  }
  return documents;
}

TEST(TokenFileWriter, WritesMegatronsBytes) {
  const TempFolder folder;
  write_documents(folder / "t", TokenType::kUint16, {{1, 7, 65499}, {1}});
  EXPECT_EQ(file_content(folder / "t.bin"), bytes_of(uint16_t{1}, uint16_t{7}, uint16_t{65499}, uint16_t{1}));
  EXPECT_EQ(
      file_content(folder / "t.idx"),
      std::string("MMIDIDX\0\0", 9) + bytes_of(uint64_t{1}, uint8_t{8}, uint64_t{2}, uint64_t{3}, int32_t{3},
                                               int32_t{1}, int64_t{0}, int64_t{6}, int64_t{0}, int64_t{1}, int64_t{2}));
  write_documents(folder / "w", TokenType::kInt32, {{1, 70000}});
  EXPECT_EQ(file_content(folder / "w.bin"), bytes_of(int32_t{1}, int32_t{70000}));
  EXPECT_EQ(file_content(folder / "w.idx")[17], 4);
}

TEST(TokenFileWriter, LeavesNothingWithoutFinish) {
  const TempFolder folder;
  const int32_t id = 5;
  {
    TokenFileWriter writer(folder / "t", TokenType::kUint16);
    writer.append(&id, 1);
    writer.end_document();
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(TokenFile, ReadsWhatWasWritten) {
  const TempFolder folder;
  for (const TokenType type : {TokenType::kUint16, TokenType::kInt32, TokenType::kInt64})
    // A limit of 4 tokens a sequence makes documents of several sequences, as those above 2^30 tokens are.
    for (const int64_t max_sequence : {4, 1 << 30}) {
      const RandomStream random(3, "ids");
      Documents documents(50);
      std::vector<int32_t> all;
      for (size_t d = 0; d < documents.size(); ++d)
        for (uint64_t i = 0; i <= random.below(d, 13); ++i)
          all.push_back(documents[d].emplace_back(static_cast<int32_t>(random.below(1000 * d + i, 60000))));
      write_documents(folder / "t", type, documents, max_sequence);
      EXPECT_EQ(read_like_megatron(folder / "t"), documents);

      const TokenFile file(folder / "t");
      EXPECT_EQ(file.type(), type);
      EXPECT_EQ(file.documents(), 50);
      ASSERT_EQ(file.tokens(), static_cast<int64_t>(all.size()));
      std::vector<int32_t> ids(all.size());
      file.read(0, file.tokens(), ids.data());
      EXPECT_EQ(ids, all);
      for (int64_t d = 0; d < 50; ++d) {
        const TokenFile::Document place = file.document(d);
        ids.resize(static_cast<size_t>(place.tokens));
        file.read(place.first_token, place.tokens, ids.data());
        EXPECT_EQ(ids, documents[static_cast<size_t>(d)]);
      }
    }
}

TEST(TokenFile, RefusesReadsBeyondItsEnd) {
  const TempFolder folder;
  write_documents(folder / "t", TokenType::kUint16, {{1, 2, 3}});
  const TokenFile file(folder / "t");
  int32_t ids[4];
  EXPECT_NEXUS_ERROR(file.read(1, 3, ids), ErrorKind::kInternal, HasSubstr("[1, +3) of 3"));
  EXPECT_NEXUS_ERROR(file.read(-1, 1, ids), ErrorKind::kInternal, HasSubstr("of 3"));
  EXPECT_NEXUS_ERROR(file.read(INT64_MAX, INT64_MAX, ids), ErrorKind::kInternal, HasSubstr("of 3"));
}

TEST(TokenFile, OpensAFileWithoutTokens) {
  const TempFolder folder;
  write_documents(folder / "t", TokenType::kUint16, {});
  EXPECT_EQ(TokenFile(folder / "t").tokens(), 0);
}

TEST(TokenFile, RefusesDamageWithAReason) {
  const TempFolder folder;
  // .idx: lengths at 34, 38; pointers at 42, 50; borders at 58, 66, 74; 82 bytes.
  write_documents(folder / "good", TokenType::kUint16, {{1, 2, 3}, {1, 4}});
  const std::string idx = file_content(folder / "good.idx"), bin = file_content(folder / "good.bin");
  ASSERT_EQ(idx.size(), 82u);
  const auto refused = [&](const char* why, const std::function<void(std::string&, std::string&)>& damage) {
    std::string i = idx, b = bin;
    damage(i, b);
    write_file(folder / "t.idx", i);
    write_file(folder / "t.bin", b);
    EXPECT_NEXUS_ERROR(TokenFile(folder / "t"), ErrorKind::kData, HasSubstr(why));
  };
  const auto put = [](std::string& bytes, size_t offset, auto value) {
    std::memcpy(&bytes[offset], &value, sizeof value);
  };
  refused("does not begin with MMIDIDX", [](auto& i, auto&) { i = "TNTIDX\0\0"; });
  refused("does not begin with MMIDIDX", [](auto& i, auto&) { i.clear(); });
  refused("header is truncated", [](auto& i, auto&) { i.resize(33); });
  refused("version 2", [&](auto& i, auto&) { put(i, 9, uint64_t{2}); });
  refused("token type 6 is one of fractions", [](auto& i, auto&) { i[17] = 6; });
  refused("token type 9 is not known", [](auto& i, auto&) { i[17] = 9; });
  refused("10 bytes, but the index describes", [](auto& i, auto&) { i[17] = 4; });
  refused("do not fit", [](auto& i, auto&) { i.resize(81); });
  refused("do not fit", [](auto& i, auto&) { i += "x"; });
  refused("do not fit", [&](auto& i, auto&) { put(i, 18, uint64_t{1} << 62); });
  refused("do not fit", [&](auto& i, auto&) { put(i, 26, ~uint64_t{0}); });
  refused("sequence 0 has -3 tokens", [&](auto& i, auto&) { put(i, 34, int32_t{-3}); });
  refused("sequence 1 does not begin", [&](auto& i, auto&) { put(i, 50, int64_t{1} << 40); });
  refused("sequence 1 does not begin", [&](auto& i, auto&) { put(i, 34, int32_t{2}); });
  refused("8 bytes, but the index describes 10", [](auto&, auto& b) { b.resize(8); });
  refused("0 bytes, but the index describes 6 or more", [](auto&, auto& b) { b.clear(); });
  refused("do not span the file", [&](auto& i, auto&) { put(i, 74, int64_t{3}); });
  refused("do not span the file", [&](auto& i, auto&) { put(i, 58, int64_t{1}); });
  refused("document border 2 lies before", [&](auto& i, auto&) { put(i, 66, int64_t{5}); });
}

TEST(TokenFile, ReadsFilesThatMegatronWroteAsMultimodal) {
  const TempFolder folder;
  write_documents(folder / "t", TokenType::kUint16, {{1, 2, 3}, {1, 4}});
  EXPECT_FALSE(TokenFile(folder / "t").has_modes());
  const std::string idx = file_content(folder / "t.idx");
  write_file(folder / "t.idx", idx + std::string("\0\x01", 2));  // a mode for each of the two sequences
  const TokenFile file(folder / "t");
  EXPECT_TRUE(file.has_modes());
  EXPECT_EQ(file.tokens(), 5);
  EXPECT_EQ(file.documents(), 2);
  EXPECT_EQ(read_like_megatron(folder / "t"), (Documents{{1, 2, 3}, {1, 4}}));
  for (const char* modes : {"x", "xxx", "xxxxxxxx"}) {
    write_file(folder / "t.idx", idx + modes);
    EXPECT_NEXUS_ERROR(TokenFile(folder / "t"), ErrorKind::kData, HasSubstr("do not fit"));
  }
}

// An index of one sequence in one document, and these ids.
template <typename Id>
TokenFile file_of(const std::string& prefix, TokenType type, const std::vector<Id>& ids) {
  write_file(prefix + ".bin", {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(Id)});
  write_file(prefix + ".idx", std::string("MMIDIDX\0\0", 9) +
                                  bytes_of(uint64_t{1}, static_cast<uint8_t>(type), uint64_t{1}, uint64_t{2},
                                           static_cast<int32_t>(ids.size()), int64_t{0}, int64_t{0}, int64_t{1}));
  return TokenFile(prefix);
}

template <typename Id>
void expect_ids(TokenType type, const std::vector<Id>& written, const std::vector<int32_t>& expected, int64_t largest) {
  const TempFolder folder;
  const TokenFile file = file_of(folder / "t", type, written);
  std::vector<int32_t> ids(written.size());
  file.read(0, file.tokens(), ids.data());
  EXPECT_EQ(ids, expected) << token_type_name(type);
  EXPECT_EQ(read_content(file).largest_id, largest) << token_type_name(type);
}

// Negative ids count as larger than all others (data_check.cpp), and none of another vocabulary becomes one of ours.
TEST(TokenFile, ReadsIdsOfEveryType) {
  expect_ids<uint8_t>(TokenType::kUint8, {0, 200, 255}, {0, 200, 255}, 255);
  expect_ids<int8_t>(TokenType::kInt8, {0, 127}, {0, 127}, 127);
  expect_ids<int8_t>(TokenType::kInt8, {5, -1}, {5, -1}, UINT32_MAX);
  expect_ids<int16_t>(TokenType::kInt16, {0, 32767}, {0, 32767}, 32767);
  expect_ids<int16_t>(TokenType::kInt16, {5, -2}, {5, -2}, UINT32_MAX - 1);
  expect_ids<uint16_t>(TokenType::kUint16, {0, 65535}, {0, 65535}, 65535);
  expect_ids<int32_t>(TokenType::kInt32, {0, 1 << 30}, {0, 1 << 30}, 1 << 30);
  expect_ids<int64_t>(TokenType::kInt64, {7, 1 << 30}, {7, 1 << 30}, 1 << 30);
  expect_ids<int64_t>(TokenType::kInt64, {7, int64_t{1} << 32}, {7, INT32_MAX}, INT32_MAX);
  expect_ids<int64_t>(TokenType::kInt64, {7, INT64_MIN}, {7, INT32_MIN}, uint32_t{1} << 31);
}

TEST(TokenFileWriter, KeepsEmptyDocumentsAndSequencesAndModes) {
  const TempFolder folder;
  {
    TokenFileWriter writer(folder / "t", TokenType::kUint8, /*modes=*/true);
    const int32_t ids[] = {1, 2, 3};
    writer.end_document();
    writer.append(ids, 2);
    writer.end_sequence(1);
    writer.end_sequence(-7);
    writer.append(ids + 2, 1);
    writer.end_document();
    writer.end_document();
    writer.finish();
  }
  EXPECT_EQ(file_content(folder / "t.bin"), "\1\2\3");
  EXPECT_EQ(
      file_content(folder / "t.idx"),
      std::string("MMIDIDX\0\0", 9) + bytes_of(uint64_t{1}, uint8_t{1}, uint64_t{3}, uint64_t{4}, int32_t{2},
                                               int32_t{0}, int32_t{1}, int64_t{0}, int64_t{2}, int64_t{2}, int64_t{0},
                                               int64_t{0}, int64_t{3}, int64_t{3}, int8_t{1}, int8_t{-7}, int8_t{0}));
  const TokenFile file(folder / "t");
  EXPECT_EQ(file.documents(), 3);
  EXPECT_EQ(file.document(1).sequences, 3);
  EXPECT_EQ(file.sequence(1).mode, -7);
  EXPECT_EQ(file.sequence(2).first_token, 2);
}

TEST(ConvertTokenFiles, KeepsDocumentsSequencesAndModes) {
  const TempFolder folder;
  write_documents(folder / "a", TokenType::kUint16, {{1, 2, 3, 4, 5}, {}, {1, 300}}, 2);
  write_documents(folder / "b", TokenType::kInt64, {{7}});
  write_file(folder / "b.idx", file_content(folder / "b.idx") + "\3");
  const TokenFile made = convert_token_files({{folder / "a", folder / "b"}, folder / "new/c", TokenType::kInt16});
  EXPECT_EQ(made.type(), TokenType::kInt16);
  EXPECT_EQ(made.documents(), 4);
  EXPECT_EQ(made.sequences(), 3 + 1 + 1 + 1);
  EXPECT_EQ(made.document(0).sequences, 3);
  EXPECT_EQ(made.sequence(4).mode, 0);
  EXPECT_EQ(made.sequence(5).mode, 3);
  std::vector<int32_t> ids(8);
  made.read(0, 8, ids.data());
  EXPECT_THAT(ids, ElementsAre(1, 2, 3, 4, 5, 1, 300, 7));
  EXPECT_EQ(kept_content(made), read_content(made));
  const TokenFile back = convert_token_files({{folder / "a"}, folder / "d", std::nullopt});
  EXPECT_EQ(file_content(folder / "d.idx"), file_content(folder / "a.idx"));
  EXPECT_EQ(file_content(folder / "d.bin"), file_content(folder / "a.bin"));
  EXPECT_NEXUS_ERROR(convert_token_files({{folder / "a"}, folder / "d", std::nullopt}), ErrorKind::kConfig,
                     HasSubstr("exists already"));
  EXPECT_NEXUS_ERROR(convert_token_files({{folder / "a"}, folder / "e", TokenType::kUint8}), ErrorKind::kConfig,
                     HasSubstr("token 6 has id 300, which does not fit uint8"));
  file_of<int64_t>(folder / "f", TokenType::kInt64, {1, -5});
  EXPECT_NEXUS_ERROR(convert_token_files({{folder / "f"}, folder / "e", TokenType::kInt64}), ErrorKind::kData,
                     HasSubstr("token 1 has id -5, which is none"));
  EXPECT_FALSE(path_exists(folder / "e.bin"));
}

// Whatever an index says, it is refused or read inside the files: sanitizers see the rest (tests/fuzz looks for
// longer).
TEST(TokenFile, SurvivesDamage) {
  const TempFolder folder;
  int refused = 0, read = 0;
  for (uint64_t round = 0; round < 3000; ++round) {
    const RandomStream now(round, "damage");
    const TokenType type = std::array{TokenType::kUint16, TokenType::kInt32, TokenType::kInt64}[round % 3];
    const std::string good = folder / token_type_name(type);
    if (round < 3) write_documents(good, type, {{1, 2, 3, 4, 5}, {6}, {7, 8}}, 3);
    std::string idx = file_content(good + ".idx");
    if (now.below(1, 2) == 0) idx += "\0\1\2\3";
    for (uint64_t i = 0; i <= now.below(2, 3); ++i) {
      const size_t at = now.below(10 + 4 * i, idx.size());
      const uint64_t how = now.below(11 + 4 * i, 3);
      if (how == 0) idx[at] = static_cast<char>(now.below(12 + 4 * i, 256));
      if (how == 1) idx[at] = std::array<char, 4>{0, 1, 127, -1}[now.below(12 + 4 * i, 4)];
      if (how == 2) idx.resize(at);
      if (idx.empty()) break;
    }
    write_file(folder / "t.idx", idx);
    write_file(folder / "t.bin", file_content(good + ".bin"));
    try {
      const TokenFile file(folder / "t");
      std::vector<int32_t> ids(static_cast<size_t>(file.tokens()));
      file.read(0, file.tokens(), ids.data());
      for (int64_t d = 0; d < file.documents(); ++d) EXPECT_GE(file.document(d).tokens, 0);
      for (int64_t s = 0; s < file.sequences(); ++s)
        EXPECT_LE(file.sequence(s).first_token + file.sequence(s).tokens, file.tokens());
      ++read;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kData) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(read, 30);
}

TEST(TokenFile, RefusesMissingFiles) {
  const TempFolder folder;
  EXPECT_NEXUS_ERROR(TokenFile(folder / "none"), ErrorKind::kData, HasSubstr("none.idx"));
  write_documents(folder / "t", TokenType::kUint16, {{1}});
  std::filesystem::remove(folder / "t.bin");
  EXPECT_NEXUS_ERROR(TokenFile(folder / "t"), ErrorKind::kData, HasSubstr("t.bin"));
}

TEST(CheckIds, NamesTheFirstIdOutsideTheVocabulary) {
  const TempFolder folder;
  std::vector<int32_t> ids(200000);
  std::iota(ids.begin(), ids.end(), 0);
  write_documents(folder / "t", TokenType::kInt32, {ids});
  const TokenFile file(folder / "t");
  check_ids(file, 200000);
  EXPECT_NEXUS_ERROR(check_ids(file, 150000), ErrorKind::kData, HasSubstr("token 150000 has id 150000, outside"));
}

TEST(TokenType, IsUint16BelowMegatronsLimit) {
  EXPECT_EQ(token_type_for(65499), TokenType::kUint16);
  EXPECT_EQ(token_type_for(65500), TokenType::kInt32);
}

}  // namespace
}  // namespace nexus
