#include "workloads/text/document_reader.h"

#include <algorithm>

#include "sample_text.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::sample_text;
using testing::write_file;

// The documents, put together from their pieces; checks that the flags of the pieces fit.
std::vector<std::string> documents_of(DocumentReader reader) {
  std::vector<std::string> documents;
  bool inside = false;
  while (const std::optional<TextPiece> piece = reader.next()) {
    EXPECT_EQ(piece->begins_document, !inside);
    EXPECT_FALSE(piece->text.empty());
    EXPECT_LE(piece->text.size(), PieceCutter::kPieceBytes);
    if (piece->begins_document) documents.emplace_back();
    documents.back() += piece->text;
    inside = !piece->ends_document;
  }
  EXPECT_FALSE(inside);
  return documents;
}

class DocumentReaderTest : public ::testing::Test {
 protected:
  std::vector<std::string> read(const std::string& text, DocumentMode mode) {
    return documents_of(DocumentReader({write_file(folder_ / "in", text)}, mode));
  }
  TempFolder folder_;
};

TEST_F(DocumentReaderTest, TakesAFileAsOneDocumentUnchanged) {
  const std::string text = "\n one\r\n\n two\t \n" + sample_text(200000);
  EXPECT_THAT(read(text, DocumentMode::kFile), ElementsAre(text));
}

TEST_F(DocumentReaderTest, SplitsAtBlankLinesAndDropsThem) {
  EXPECT_THAT(read("\n\na\nb\n\n \t\n\nc\r\nd\r\n\r\n  e", DocumentMode::kBlankLine),
              ElementsAre("a\nb", "c\nd", "  e"));
}

TEST_F(DocumentReaderTest, TakesEveryLineWithTextAsADocument) {
  EXPECT_THAT(read("a b\n\n  \nc\r\n d \ne\rf", DocumentMode::kLine), ElementsAre("a b", "c", " d ", "e\rf"));
}

TEST_F(DocumentReaderTest, TakesTheTextOfEveryJsonLine) {
  const std::string lines = "{\"text\": \"a\\nb\", \"id\": 1}\n\n{\"id\": 2, \"text\": \"\"}\n{\"text\": \"\\u00e9\"}";
  EXPECT_THAT(read(lines, DocumentMode::kJsonLines), ElementsAre("a\nb", "é"));
  const std::string path = write_file(folder_ / "in", "{\"body\": \"x\"}");
  EXPECT_THAT(documents_of(DocumentReader({path}, DocumentMode::kJsonLines, "body")), ElementsAre("x"));
}

TEST_F(DocumentReaderTest, NamesTheLineOfBadJson) {
  EXPECT_NEXUS_ERROR(read("{\"text\": \"a\"}\n\n{\"text\": \n", DocumentMode::kJsonLines), ErrorKind::kData,
                     AllOf(HasSubstr("cut off"), HasSubstr("in:3:9")));
  EXPECT_NEXUS_ERROR(read("{\"text\": 3}", DocumentMode::kJsonLines), ErrorKind::kData,
                     AllOf(HasSubstr("the field 'text' is a number"), HasSubstr("in:1"), HasSubstr("--json-field")));
}

TEST_F(DocumentReaderTest, DropsTheByteOrderMarkOfEachFile) {
  const std::string mark = "\xEF\xBB\xBF";
  const std::vector<std::string> paths = {write_file(folder_ / "a", mark + "one\ntwo"), write_file(folder_ / "b", mark),
                                          write_file(folder_ / "c", mark + "three" + mark)};
  EXPECT_THAT(documents_of(DocumentReader(paths, DocumentMode::kFile)), ElementsAre("one\ntwo", "three" + mark));
  EXPECT_THAT(documents_of(DocumentReader(paths, DocumentMode::kLine)), ElementsAre("one", "two", "three" + mark));
  EXPECT_THAT(documents_of(DocumentReader(paths, DocumentMode::kBlankLine)), ElementsAre("one\ntwo", "three" + mark));
  EXPECT_THAT(read(mark + "{\"text\": \"a\"}\n" + mark + "{\"text\": \"b\"}", DocumentMode::kJsonLines),
              ElementsAre("a", "b"));
}

TEST_F(DocumentReaderTest, EndsDocumentsWithTheirFile) {
  const std::vector<std::string> paths = {write_file(folder_ / "a", "one\ntwo"), write_file(folder_ / "b", ""),
                                          write_file(folder_ / "c", "three")};
  EXPECT_THAT(documents_of(DocumentReader(paths, DocumentMode::kFile)), ElementsAre("one\ntwo", "three"));
  EXPECT_THAT(documents_of(DocumentReader(paths, DocumentMode::kBlankLine)), ElementsAre("one\ntwo", "three"));
  EXPECT_THAT(documents_of(DocumentReader(paths, DocumentMode::kLine)), ElementsAre("one", "two", "three"));
}

TEST_F(DocumentReaderTest, FindsNoDocumentWithoutText) {
  EXPECT_THAT(read("", DocumentMode::kFile), IsEmpty());
  EXPECT_THAT(read("\n \n\r\n", DocumentMode::kLine), IsEmpty());
  EXPECT_THAT(read("\n \n\r\n", DocumentMode::kBlankLine), IsEmpty());
}

TEST_F(DocumentReaderTest, KeepsLongLinesWhole) {
  const std::string line(300000, 'x');
  EXPECT_THAT(read(line + "\n" + line + "y", DocumentMode::kLine), ElementsAre(line, line + "y"));
  EXPECT_THAT(read("{\"text\": \"" + line + "\"}", DocumentMode::kJsonLines), ElementsAre(line));
}

TEST_F(DocumentReaderTest, NamesThePlaceThatIsNotUtf8) {
  const std::string start(70000, 'x');  // beyond the first block
  for (const char* bad : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80"})
    EXPECT_NEXUS_ERROR(read(start + bad, DocumentMode::kFile), ErrorKind::kData,
                       AllOf(HasSubstr("is not UTF-8"), HasSubstr("iconv")));
  EXPECT_NEXUS_ERROR(read(start + "\xff", DocumentMode::kFile), ErrorKind::kData, HasSubstr("byte 70000 of"));
  EXPECT_NEXUS_ERROR(read(start + "\xe4\xb8", DocumentMode::kFile), ErrorKind::kData, HasSubstr("inside a character"));
}

TEST(Utf8Checker, AcceptsTheSmallestAndLargestCharactersOfEachLength) {
  for (const char* text :
       {"\x01", "\x7f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff"}) {
    Utf8Checker checker;
    for (const char byte : std::string_view(text)) EXPECT_EQ(checker.feed({&byte, 1}), std::nullopt) << text;
    EXPECT_TRUE(checker.complete());
  }
}

std::vector<std::string> cut(const std::string& text, size_t step) {
  PieceCutter cutter;
  std::vector<std::string> pieces;
  for (size_t i = 0; i < text.size(); i += step) cutter.append(std::string_view(text).substr(i, step));
  cutter.end_document();
  while (const std::optional<TextPiece> piece = cutter.take()) pieces.push_back(piece->text);
  return pieces;
}

TEST(PieceCutter, CutsBeforeSpacesThatFollowACharacter) {
  const std::vector<std::string> pieces = cut(sample_text(100000), 1000);
  ASSERT_GT(pieces.size(), 10u);
  for (size_t i = 1; i < pieces.size(); ++i) {
    EXPECT_EQ(pieces[i].front(), ' ');
    EXPECT_EQ(std::string(" \t\r\n").find(pieces[i - 1].back()), std::string::npos);
  }
}

TEST(PieceCutter, CutsAtTheSamePlacesHoweverTheTextArrives) {
  const std::string text = sample_text(100000);
  EXPECT_EQ(cut(text, 1), cut(text, 4096));
  EXPECT_EQ(cut(text, 8192), cut(text, text.size()));
  EXPECT_EQ(cut(text, 1), cut(text, text.size()));
}

TEST(PieceCutter, FallsBackToLineEndsThenToCharacters) {
  std::string lines, characters;
  while (lines.size() < 50000) lines += "東京東京\n";
  while (characters.size() < 50000) characters += "東";
  const std::vector<std::string> by_line = cut(lines, 777), by_character = cut(characters, 777);
  for (size_t i = 0; i + 1 < by_line.size(); ++i) EXPECT_EQ(by_line[i].back(), '\n');
  for (const std::string& piece : by_character) EXPECT_EQ(piece.size() % 3, 0u);
}

TEST(DocumentMode, HasANameThatParsesBack) {
  for (const char* name : {"file", "blank-line", "line", "jsonl"})
    EXPECT_EQ(document_mode_name(parse_document_mode(name).value()), name);
  EXPECT_EQ(parse_document_mode("lines"), std::nullopt);
}

}  // namespace
}  // namespace nexus
