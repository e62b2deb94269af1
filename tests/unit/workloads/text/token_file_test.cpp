#include "workloads/text/token_file.h"

#include <cstring>
#include <functional>
#include <numeric>

#include "core/files.h"
#include "sample_text.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using ::testing::ElementsAre;
using testing::file_content;
using ::testing::HasSubstr;
using testing::write_file;
using Documents = std::vector<std::vector<int32_t>>;

void write_documents(const std::string& prefix, TokenType type, const Documents& documents,
                     int64_t max_sequence = 1 << 30) {
  TokenFileWriter writer(prefix, type, max_sequence);
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
  const size_t size = idx[17] == 8 ? 2 : 4;
  Documents documents;
  for (uint64_t d = 0; d + 1 < borders; ++d) {
    documents.emplace_back();
    const size_t border = 34 + 12 * sequences + 8 * d;
    for (int64_t s = at(int64_t{}, border); s < at(int64_t{}, border + 8); ++s) {
      const auto length = at(int32_t{}, 34 + 4 * static_cast<size_t>(s));
      const auto pointer = static_cast<size_t>(at(int64_t{}, 34 + 4 * sequences + 8 * static_cast<size_t>(s)));
      for (int32_t i = 0; i < length; ++i) {
        int32_t id = 0;
        std::memcpy(&id, bin.data() + pointer + size * static_cast<size_t>(i), size);
        documents.back().push_back(id);
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
  for (const TokenType type : {TokenType::kUint16, TokenType::kInt32})
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
  refused("token type 6 is not supported", [](auto& i, auto&) { i[17] = 6; });
  refused("do not fit", [](auto& i, auto&) { i.resize(81); });
  refused("do not fit", [](auto& i, auto&) { i += "x"; });
  refused("do not fit", [&](auto& i, auto&) { put(i, 18, uint64_t{1} << 62); });
  refused("do not fit", [&](auto& i, auto&) { put(i, 26, ~uint64_t{0}); });
  refused("sequence 0 has -3 tokens", [&](auto& i, auto&) { put(i, 34, int32_t{-3}); });
  refused("sequence 1 does not begin", [&](auto& i, auto&) { put(i, 50, int64_t{1} << 40); });
  refused("sequence 1 does not begin", [&](auto& i, auto&) { put(i, 34, int32_t{2}); });
  refused("8 bytes, but the index describes 10", [](auto&, auto& b) { b.resize(8); });
  refused("0 bytes, but the index describes 10", [](auto&, auto& b) { b.clear(); });
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
