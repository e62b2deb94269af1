#include "workloads/text/foreign_format.h"

#include <algorithm>

#include "core/error.h"
#include "sample_text.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "workloads/text/document_reader.h"

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
        bytes("PK\n"), bytes("]\n"), bytes("!<arch> begins an ar archive\n"), bytes("070707 is a number\n"),
        "\x1B[31mred\x1B[0m \x1B[1mbold\x1B[0m\b\f\n" + sample_text(3000), sample_text(5000)})
    EXPECT_EQ(refusal(text), "");
}

TEST(ForeignFormat, NamesArchivesThatHaveNoMagicNumberOrALateOne) {
  std::string tar = "a.txt" + std::string(507, '\0');  // as `tar --format=v7` writes it
  tar.replace(100, 7, "0000644");
  tar.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const char c : tar) sum += static_cast<uint8_t>(c);
  tar.replace(148, 6, fmt::format("{:06o}", sum));
  tar[154] = '\0';
  EXPECT_THAT(refusal(tar + sample_text(1000)), HasSubstr("tar archive"));
  EXPECT_THAT(refusal("!<arch>\na.txt/          0  \n" + sample_text(1000)), HasSubstr("ar archive"));
  EXPECT_THAT(refusal("070701000004D2" + std::string(96, '0') + std::string("a.txt\0\0\0", 8) + sample_text(1000)),
              HasSubstr("cpio archive"));
}

// Russian, Arabic, Hindi, Thai, and all of them with Latin: their UTF-16 is valid UTF-8.
const std::u32string kScripts[] = {U"слово за словом растёт модель\n", U"النص العربي مكتوب هنا\n",
                                   U"यह हिन्दी का पाठ है\n", U"ภาษาไทย ไม่มีช่องว่าง\n",
                                   U"слово and words, النص ไทย हिन्दी 42\n"};

std::u32string repeat(const std::u32string& text, int times) {
  std::u32string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

TEST(ForeignFormat, NamesUtf16OfScriptsWhoseBytesAreAllUtf8) {
  for (const std::u32string& text : kScripts)
    for (const int times : {1, 300})
      for (const bool big : {false, true}) {
        SCOPED_TRACE(fmt::format("script {} times {} big {}", &text - kScripts, times, big));
        EXPECT_THAT(refusal(widen(repeat(text, times), 2, big)),
                    HasSubstr(big ? "iconv -f UTF-16BE" : "iconv -f UTF-16LE"));
      }
  // Not a single blank: nothing has a zero byte, and half of all bytes are control characters.
  EXPECT_THAT(refusal(widen(repeat(U"ภาษาไทยไม่มีช่องว่าง", 30), 2, false)), HasSubstr("iconv -f UTF-16LE"));
}

TEST(ForeignFormat, NamesWideTextThatWasJoinedToUtf8) {
  const std::string utf8 = sample_text(200001);
  for (const std::u32string& text : kScripts)
    for (const bool big : {false, true}) {
      const std::string told = refusal(utf8 + widen(repeat(text, 20), 2, big));
      EXPECT_THAT(told, AllOf(HasSubstr("two encodings were joined"), HasSubstr(big ? "UTF-16BE" : "UTF-16LE")));
      EXPECT_THAT(told, HasSubstr(fmt::format("text.txt:{};", 1 + std::count(utf8.begin(), utf8.end(), '\n'))));
      EXPECT_THAT(refusal(utf8 + widen(text, 4, big)), HasSubstr(big ? "UTF-32BE" : "UTF-32LE"));
      EXPECT_THAT(refusal(utf8 + widen(U"\uFEFF" + text, 2, big)), HasSubstr("this is UTF-16 text"));
    }
  for (const bool big : {false, true})
    for (const size_t before : {2000, 2001, 5000})
      EXPECT_THAT(refusal(sample_text(static_cast<int64_t>(before)) + "\n" +
                          widen(repeat(U"Latin words alone, naïve ones\n", 30), 2, big)),
                  HasSubstr(big ? "UTF-16BE" : "UTF-16LE"));
}

TEST(ForeignFormat, NamesThePlaceOfZeroBytesAndControlCharactersAnywhere) {
  for (const size_t size : {10, 3000, 65536, 300000}) {  // about one block, and beyond
    const std::string text = sample_text(static_cast<int64_t>(size));
    const std::string place = fmt::format("text.txt:{};", 1 + std::count(text.begin(), text.end(), '\n'));
    EXPECT_THAT(refusal(text + std::string(1, '\0') + sample_text(3000)),
                AllOf(HasSubstr(fmt::format("byte {} is zero", text.size())), HasSubstr(place), HasSubstr("tr -d")));
    EXPECT_THAT(refusal(text + std::string(4096, '\0') + text), AllOf(HasSubstr("damaged"), HasSubstr(place)));
    std::string binary;
    for (int i = 0; i < 4000; ++i) binary += static_cast<char>(1 + i * 37 % 127);
    EXPECT_THAT(refusal(text + binary), HasSubstr("binary data"));
  }
  // Russian and Chinese UTF-8 with a zero byte are not taken for UTF-16.
  for (const char* text : {"слово за словом\n", "東京東京\n"}) {
    std::string many;
    for (int i = 0; i < 100; ++i) many += text;
    EXPECT_THAT(refusal(many + std::string(1, '\0') + many), AllOf(HasSubstr("is zero"), Not(HasSubstr("UTF-16"))));
  }
}

TEST(ForeignFormat, TakesSomeSeparatorsAndTerminalCodes) {
  std::string table;
  for (int i = 0; i < 500; ++i)
    table += fmt::format(
        "a field of row {}\x01"
        "another field\x01"
        "and a third\n",
        i);
  EXPECT_EQ(refusal(table), "");
  EXPECT_EQ(refusal("\x01\x02\x03"), "");
}

}  // namespace
}  // namespace nexus
