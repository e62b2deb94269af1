#include "data/foreign_format.h"

#include "core/error.h"
#include "data/document_reader.h"
#include "sample_text.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::sample_text;
using testing::write_file;

std::string bytes(std::string_view text) {
  return std::string(text);
}

// Text of one-unit characters in units of `size` bytes.
std::string widen(const std::u32string& text, size_t size, bool big_endian) {
  std::string result;
  for (const char32_t code : text)
    for (size_t i = 0; i < size; ++i) result += static_cast<char>(code >> (8 * (big_endian ? size - 1 - i : i)) & 0xFF);
  return result;
}

// What reading a file of these bytes says.
std::string refusal(const std::string& content) {
  const TempFolder folder;
  DocumentReader reader({write_file(folder / "text.txt", content)}, DocumentMode::kFile);
  try {
    while (reader.next()) {
    }
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    EXPECT_THAT(error.what(), HasSubstr("text.txt"));
    return error.what();
  }
  return "";
}

TEST(ForeignFormat, NamesArchivesAndTablesByTheirFirstBytes) {
  using namespace std::string_view_literals;
  const std::pair<std::string_view, const char*> cases[] = {
      {"\x1F\x8B\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"sv, "gzip"},
      {"BZh91AY&SY\x00\x01"sv, "bzip2"},
      {"BZh9\x17\x72\x45\x38\x50\x90\x00\x00\x00\x00"sv, "bzip2"},
      {"PK\x03\x04\x14\x00"sv, "zip"},
      {"PK\x05\x06\x00\x00"sv, "empty zip"},
      {"7z\xBC\xAF\x27\x1C\x00\x04"sv, "7z"},
      {"\x04\x22\x4D\x18\x64\x40"sv, "lz4"},
      {"PAR1\x15\x04\x15\x00"sv, "Parquet"},
      {"%PDF-1.7\n%\xE2\xE3"sv, "PDF"},
      {"SQLite format 3\x00"sv, "SQLite"}};
  for (const auto& [content, name] : cases)
    EXPECT_THAT(refusal(bytes(content)), AllOf(HasSubstr(name), Not(HasSubstr("iconv")))) << name;
  std::string tar(512, '\0');
  tar.replace(0, 5, "a.txt");
  tar.replace(257, 5, "ustar");
  EXPECT_THAT(refusal(tar), HasSubstr("tar archive"));
}

TEST(ForeignFormat, NamesWideEncodingsWithAndWithoutAMark) {
  const std::u32string latin = U"A growing model learns.\nNaïve größer.\n", mixed = latin + U"東京 слово\n" + latin;
  for (const bool big : {false, true})
    for (const size_t size : {2, 4})
      for (const std::u32string& text : {latin, mixed}) {
        const std::string name = size == 2 ? "UTF-16" : "UTF-32";
        EXPECT_THAT(refusal(widen(U"\uFEFF" + text, size, big)), HasSubstr("iconv -f " + name + " "));
        EXPECT_THAT(refusal(widen(text, size, big)), HasSubstr("iconv -f " + name + (big ? "BE " : "LE ")));
      }
  // Little Latin in it: the bytes are no UTF-8, and the zero bytes of the line ends tell.
  EXPECT_THAT(refusal(widen(U"東京東京東京東京東京\n東京東京東京", 2, false)), HasSubstr("iconv -f UTF-16LE"));
}

TEST(ForeignFormat, TellsBinaryDataFromTextOfAnotherEncoding) {
  std::string binary;
  for (int i = 0; i < 2000; ++i) binary += static_cast<char>(i * 37 % 256);
  EXPECT_THAT(refusal(binary), AllOf(HasSubstr("binary data"), Not(HasSubstr("iconv"))));
  EXPECT_THAT(refusal(std::string(4096, '\0')), HasSubstr("zero bytes"));
  EXPECT_THAT(refusal("caf\xE9 au lait\n"),
              AllOf(HasSubstr("byte 3 of the text is not UTF-8 (0xE9)"), HasSubstr("text.txt:1"), HasSubstr("iconv -f"),
                    Not(HasSubstr("LATIN1"))));
  EXPECT_THAT(refusal("one\ntwo\ncaf\xE9\n"), HasSubstr("text.txt:3"));
}

TEST(ForeignFormat, TakesTextThatLooksLittleLikeIt) {
  for (const std::string& text :
       {bytes("BZh is how bzip2 files begin\n"), bytes("PAR1 is a licence plate\n"), bytes("%PDF- begins a PDF\n"),
        bytes("PK\n"), bytes("]\n"), std::string("a\0b", 3) + sample_text(3000), sample_text(5000)})
    EXPECT_EQ(refusal(text), "");
}

}  // namespace
}  // namespace nexus
