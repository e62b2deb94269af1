#include "workloads/text/text_source.h"

#include <lzma.h>
#include <sys/stat.h>

#include <vector>

#include "sample_text.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;
using testing::sample_text;
using testing::write_file;
using testing::zst;

std::string xz(const std::string& text) {
  std::string packed(lzma_stream_buffer_bound(text.size()), '\0');
  size_t size = 0;
  EXPECT_EQ(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const uint8_t*>(text.data()),
                                    text.size(), reinterpret_cast<uint8_t*>(packed.data()), &size, packed.size()),
            LZMA_OK);
  packed.resize(size);
  return packed;
}

// Reads in blocks of a size that divides nothing.
std::string read_all(const std::string& path) {
  const auto source = open_text(path);
  std::string text;
  std::vector<char> block(7919);
  while (const size_t got = source->read(block.data(), block.size())) text.append(block.data(), got);
  return text;
}

class TextSourceTest : public ::testing::Test {
 protected:
  TempFolder folder_;
  const std::string text_ = sample_text(700000);
};

TEST_F(TextSourceTest, ReadsPlainText) {
  EXPECT_EQ(read_all(write_file(folder_ / "a", text_)), text_);
}

TEST_F(TextSourceTest, ReadsPackedTextWhateverTheFileIsCalled) {
  EXPECT_EQ(read_all(write_file(folder_ / "a.txt", xz(text_))), text_);
  EXPECT_EQ(read_all(write_file(folder_ / "b.txt", zst(text_))), text_);
}

TEST_F(TextSourceTest, ReadsJoinedArchivesToTheLast) {
  EXPECT_EQ(read_all(write_file(folder_ / "a.xz", xz(text_) + xz("tail"))), text_ + "tail");
  EXPECT_EQ(read_all(write_file(folder_ / "a.zst", zst(text_) + zst("tail"))), text_ + "tail");
}

TEST_F(TextSourceTest, ReadsZstdFramesWithOthersToSkip) {
  // As pzstd writes them: before each frame another that tells its size. Any of sixteen numbers begins one.
  for (const char number : {'\x50', '\x5A', '\x5F'}) {
    const std::string skipped = number + std::string(
                                             "\x2A\x4D\x18\x04\x00\x00\x00"
                                             "size",
                                             11);
    EXPECT_EQ(read_all(write_file(folder_ / "a.zst", skipped + zst(text_) + skipped + zst("tail") + skipped)),
              text_ + "tail");
    EXPECT_EQ(read_all(write_file(folder_ / "b.zst", skipped)), "");
    EXPECT_NEXUS_ERROR(read_all(write_file(folder_ / "c.zst", skipped.substr(0, 10))), ErrorKind::kData,
                       HasSubstr("truncated .zst file"));
  }
}

TEST_F(TextSourceTest, ReadsEmptyAndVeryShortFiles) {
  EXPECT_EQ(read_all(write_file(folder_ / "a", "")), "");
  EXPECT_EQ(read_all(write_file(folder_ / "b", "x")), "x");
  EXPECT_EQ(read_all(write_file(folder_ / "c.xz", xz(""))), "");
  EXPECT_EQ(read_all(write_file(folder_ / "d.zst", zst(""))), "");
}

TEST_F(TextSourceTest, RefusesATruncatedArchive) {
  for (const double share : {0.2, 0.5, 0.999}) {
    const std::string a = xz(text_), b = zst(text_);
    const auto part = [share](const std::string& s) {
      return s.substr(0, static_cast<size_t>(share * double(s.size())));
    };
    EXPECT_NEXUS_ERROR(read_all(write_file(folder_ / "a.xz", part(a))), ErrorKind::kData,
                       HasSubstr("truncated .xz file"));
    EXPECT_NEXUS_ERROR(read_all(write_file(folder_ / "b.zst", part(b))), ErrorKind::kData,
                       HasSubstr("truncated .zst file"));
  }
}

TEST_F(TextSourceTest, RefusesADamagedArchive) {
  std::string a = xz(text_), b = zst(text_);
  for (size_t i = 0; i < 8; ++i) a[a.size() / 2 + i] ^= 0x55;
  b[4] = static_cast<char>(0xFF);  // frame header: reserved bits
  EXPECT_NEXUS_ERROR(read_all(write_file(folder_ / "a.xz", a)), ErrorKind::kData, HasSubstr("damaged .xz file"));
  EXPECT_NEXUS_ERROR(read_all(write_file(folder_ / "b.zst", b)), ErrorKind::kData, HasSubstr("damaged .zst file"));
}

TEST_F(TextSourceTest, RefusesWhatIsNoRegularFile) {
  ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  EXPECT_NEXUS_ERROR(open_text(folder_ / "fifo"), ErrorKind::kData, HasSubstr("not a regular file"));
  EXPECT_NEXUS_ERROR(open_text(folder_.path()), ErrorKind::kData, HasSubstr("not a regular file"));
  EXPECT_NEXUS_ERROR(open_text(folder_ / "none"), ErrorKind::kData, HasSubstr("No such file"));
}

}  // namespace
}  // namespace nexus
