#include "workloads/text/text_splitter.h"

#include <algorithm>

#include "sample_text.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using testing::sample_text;
using testing::write_file;

struct Parts {
  std::vector<std::string> train, valid;  // documents
};

// Surveys and splits files, and puts the parts' documents together.
Parts split_files(const std::vector<std::string>& paths, DocumentMode mode, double share) {
  const TextSurvey survey = survey_text(DocumentReader(paths, mode), nullptr);
  TextSplitter splitter(survey, share, DocumentReader(paths, mode));
  DocumentReader reader(paths, mode);
  Parts parts;
  bool inside[2] = {false, false};
  while (std::optional<TextPiece> piece = reader.next())
    for (const SplitPiece& item : splitter.split(std::move(*piece))) {
      auto& documents = item.part == Part::kTrain ? parts.train : parts.valid;
      bool& open = inside[item.part == Part::kTrain ? 0 : 1];
      EXPECT_EQ(item.piece.begins_document, !open);
      EXPECT_FALSE(item.piece.text.empty());
      if (item.piece.begins_document) documents.emplace_back();
      documents.back() += item.piece.text;
      open = !item.piece.ends_document;
    }
  EXPECT_FALSE(inside[0] || inside[1]);
  return parts;
}

Parts split_file(const std::string& path, DocumentMode mode, double share) {
  return split_files({path}, mode, share);
}

// About `size_bytes` of words and spaces in one line.
std::string sample_line(int64_t size_bytes, uint64_t seed) {
  std::string text = sample_text(size_bytes, seed);
  for (char& c : text)
    if (c == '\n' || c == '\r') c = ' ';
  return text;
}

TEST(TextSplitter, HoldsOutTheTailOfASingleDocumentAtALineEnd) {
  const TempFolder folder;
  for (const int64_t size : {8192, 100000, 300001}) {
    const std::string text = sample_text(size, static_cast<uint64_t>(size));
    const Parts parts = split_file(write_file(folder / "a", text), DocumentMode::kFile, 0.1);
    ASSERT_EQ(parts.train.size(), 1u);
    ASSERT_EQ(parts.valid.size(), 1u);
    EXPECT_EQ(parts.train[0] + parts.valid[0], text);
    EXPECT_EQ(parts.train[0].back(), '\n');
    // The text has a line end about every 20 bytes, so the border is at most a few hundred bytes late.
    const double share = static_cast<double>(parts.valid[0].size()) / static_cast<double>(text.size());
    EXPECT_LE(share, 0.1);
    EXPECT_GE(share * static_cast<double>(text.size()), 0.1 * static_cast<double>(text.size()) - 300);
  }
}

TEST(TextSplitter, HoldsOutTheTailOfEachOfAFewDocuments) {
  const TempFolder folder;
  std::string text;
  for (uint64_t i = 0; i < 10; ++i)
    text += "{\"text\": \"" + std::string(100 + i, 'a') + "\\n" + std::string(30, 'b') + "\"}\n";
  const Parts parts = split_file(write_file(folder / "a", text), DocumentMode::kJsonLines, 0.25);
  ASSERT_EQ(parts.train.size(), 10u);
  ASSERT_EQ(parts.valid.size(), 10u);
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(parts.train[i], std::string(100 + i, 'a') + "\n");
    EXPECT_EQ(parts.valid[i], std::string(30, 'b'));
  }
}

TEST(TextSplitter, UsesASpaceWhereThereIsNoLineEnd) {
  const TempFolder folder;
  const Parts parts = split_file(write_file(folder / "a", "aaaa bbbb cccc dddd"), DocumentMode::kFile, 0.4);
  EXPECT_THAT(parts.train, ::testing::ElementsAre("aaaa bbbb cccc"));
  EXPECT_THAT(parts.valid, ::testing::ElementsAre(" dddd"));
}

TEST(TextSplitter, HoldsOutWholeDocumentsWhereThereAreMany) {
  const TempFolder folder;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "document " + std::to_string(i) + "\n";
  const std::string path = write_file(folder / "a", text);
  const Parts parts = split_file(path, DocumentMode::kLine, 0.02);
  std::vector<std::string> all = parts.train;
  all.insert(all.end(), parts.valid.begin(), parts.valid.end());
  EXPECT_EQ(all.size(), 5000u);
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
  // 5000 draws of probability 0.02: mean 100, standard deviation 10; the draw is fixed, so this cannot flicker.
  EXPECT_NEAR(static_cast<double>(parts.valid.size()), 100, 30);
  EXPECT_EQ(split_file(path, DocumentMode::kLine, 0.02).valid, parts.valid);
}

TEST(TextSplitter, HoldsOutNothingWhereTheShareIsZero) {
  const TempFolder folder;
  const std::string text = sample_text(50000);
  const Parts parts = split_file(write_file(folder / "a", text), DocumentMode::kFile, 0);
  EXPECT_THAT(parts.train, ::testing::ElementsAre(text));
  EXPECT_TRUE(parts.valid.empty());
}

// Words of random letters, or rows of random characters of a script without blanks.
std::string random_text(const std::vector<std::string>& alphabet, size_t characters, uint64_t seed) {
  const RandomStream random(seed, "splitter text");
  std::string text;
  for (uint64_t i = 0; i < characters; ++i) text += alphabet[random.below(i, alphabet.size())];
  return text;
}

const std::vector<std::string> kHan = {"天", "地", "玄", "黄", "宇", "宙", "洪", "荒", "日", "月"};
const std::vector<std::string> kMinified = {"a", "b", "(", ")", ";", "{", "}", "=", "1", "é"};
const std::vector<std::string> kEmoji = {"😀", "🚀", "🌍", "🎉"};

double share_of(const std::vector<std::string>& part, const std::string& all) {
  size_t bytes = 0;
  for (const std::string& document : part) bytes += document.size();
  return static_cast<double>(bytes) / static_cast<double>(all.size());
}

bool is_utf8(const std::string& text) {
  Utf8Checker checker;
  return !checker.feed(text) && checker.complete();
}

TEST(TextSplitter, CutsOneDocumentWithoutBlanksBetweenCharacters) {
  const TempFolder folder;
  for (const auto& alphabet : {kHan, kMinified, kEmoji})
    for (const size_t characters : {20, 500, 4096, 5000, 50000})
      for (const double share : {0.02, 0.1, 0.5}) {
        const std::string text = random_text(alphabet, characters, characters);
        if (static_cast<double>(text.size()) * share < TextSplitter::kLeastTailBytes) continue;
        const Parts parts = split_file(write_file(folder / "a", text), DocumentMode::kFile, share);
        ASSERT_EQ(parts.train.size(), 1u);
        ASSERT_EQ(parts.valid.size(), 1u) << characters << " " << share;
        EXPECT_EQ(parts.train[0] + parts.valid[0], text);
        EXPECT_TRUE(is_utf8(parts.train[0]) && is_utf8(parts.valid[0]));
        // To the character.
        EXPECT_NEAR(share_of(parts.valid, text) * static_cast<double>(text.size()),
                    share * static_cast<double>(text.size()), 4);
      }
}

TEST(TextSplitter, TakesTheShareOfEachDocumentWhateverItsScript) {
  const TempFolder folder;
  std::string text, han;
  for (uint64_t i = 0; i < 300; ++i) {
    const std::string row = random_text(kHan, 300, i);
    text += (i % 2 == 0 ? row : sample_line(900, i)) + "\n";
    if (i % 2 == 0) han += row;
  }
  const Parts parts = split_file(write_file(folder / "a", text), DocumentMode::kLine, 0.02);
  EXPECT_EQ(parts.train.size(), 300u);
  EXPECT_EQ(parts.valid.size(), 300u);
  size_t han_bytes = 0;
  for (size_t i = 0; i < parts.valid.size(); i += 2) han_bytes += parts.valid[i].size();
  EXPECT_NEAR(static_cast<double>(han_bytes) / static_cast<double>(han.size()), 0.02, 0.002);
  EXPECT_NEAR(share_of(parts.valid, text), 0.02, 0.004);
}

TEST(TextSplitter, LeavesAtLeastHalfOfTheShareWhereverTheBlanksLie) {
  const TempFolder folder;
  // The only line end and space after the first 90 % stand just before the end.
  const std::string late = std::string(9800, 'x') + "\n" + std::string(150, 'x') + " " + std::string(20, 'y');
  // None there; the nearest ones stand a little before.
  const std::string early = std::string(8900, 'x') + "\n" + std::string(1100, 'y');
  const std::string far = std::string(4000, 'x') + "\n" + std::string(6000, 'y');
  for (const std::string& text : {late, early, far}) {
    const Parts parts = split_file(write_file(folder / "a", text), DocumentMode::kFile, 0.1);
    ASSERT_EQ(parts.valid.size(), 1u);
    EXPECT_EQ(parts.train[0] + parts.valid[0], text);
    EXPECT_NEAR(share_of(parts.valid, text), 0.1, 0.05);
  }
  EXPECT_EQ(split_file(write_file(folder / "a", early), DocumentMode::kFile, 0.1).valid[0], std::string(1100, 'y'));
}

TEST(TextSplitter, HoldsOutAboutTheShareOfDocumentsOfAFewLines) {
  const TempFolder folder;
  std::vector<std::string> paths;
  std::string all;
  for (uint64_t i = 0; i < 40; ++i) {
    std::string text;
    for (uint64_t line = 0; line < 30; ++line) text += sample_line(60, 100 * i + line) + "\r\n";
    all += text;
    paths.push_back(write_file(folder / std::to_string(i), text));
  }
  // The share of a document is a line and a half: the first line end after it would take a third of it away.
  EXPECT_NEAR(share_of(split_files(paths, DocumentMode::kFile, 0.05).valid, all), 0.05, 0.005);
}

TEST(TextSplitter, HoldsOutWholeDocumentsWhereTheirTailsWouldBeLessThanACharacter) {
  const TempFolder folder;
  std::string text;
  for (int i = 0; i < 900; ++i) text += "row " + std::to_string(i) + "\n";
  const Parts parts = split_file(write_file(folder / "a", text), DocumentMode::kLine, 0.02);
  EXPECT_EQ(parts.valid.size(), 18u);
  EXPECT_EQ(parts.train.size(), 882u);
  for (const std::string& document : parts.valid) EXPECT_TRUE(document.starts_with("row ")) << document;
}

TEST(TextSplitter, HoldsOutShortDocumentsOfEveryKindThatAlternates) {
  const TempFolder folder;
  std::string text;
  for (int i = 0; i < 900; ++i) text += (i % 2 == 0 ? "even " : "odd ") + std::to_string(i) + "\n";
  const Parts parts = split_file(write_file(folder / "a", text), DocumentMode::kLine, 0.02);
  const auto even = std::count_if(parts.valid.begin(), parts.valid.end(),
                                  [](const std::string& document) { return document.starts_with("even"); });
  EXPECT_GT(even, 3);
  EXPECT_LT(even, 15);
}

TEST(TextSplitter, KeepsLineEndsWhereOnlyLittleOfTheTextIsLateAtThem) {
  const TempFolder folder;
  // One paragraph a line, and an empty line at the end: the first line end behind the share leaves nothing but it.
  const auto document = [](uint64_t i) { return sample_line(2000, i) + "\n\n"; };
  std::vector<std::string> paths;
  for (uint64_t i = 0; i < 40; ++i) {
    std::string text;
    for (int line = 0; line < 400; ++line) text += sample_line(40, 100 * i + static_cast<uint64_t>(line)) + "\n";
    paths.push_back(write_file(folder / ("short lines " + std::to_string(i)), text));
  }
  paths.push_back(write_file(folder / "late", document(1)));
  const Parts few = split_files(paths, DocumentMode::kFile, 0.1);
  EXPECT_EQ(few.valid.back(), "\n");
  paths.clear();
  for (uint64_t i = 0; i < 40; ++i) paths.push_back(write_file(folder / ("late " + std::to_string(i)), document(i)));
  for (const std::string& held_out : split_files(paths, DocumentMode::kFile, 0.1).valid)
    EXPECT_NEAR(static_cast<double>(held_out.size()), 200, 20);
}

TEST(LeastValidShare, IsAShareThatHoldsSomethingOut) {
  const TempFolder folder;
  for (const std::vector<size_t>& sizes :
       {std::vector<size_t>{9}, {100}, {3, 3}, {10, 2, 7}, std::vector<size_t>(17, 20), {1000000, 1}}) {
    std::string text;
    for (const size_t size : sizes) text += std::string(size, 'x') + "\n";
    const std::string path = write_file(folder / "a", text);
    const TextSurvey survey = survey_text(DocumentReader({path}, DocumentMode::kLine), nullptr);
    const std::optional<double> least = least_valid_share(survey, 0.5);
    ASSERT_TRUE(least);
    EXPECT_FALSE(split_files({path}, DocumentMode::kLine, *least).valid.empty()) << *least;
    EXPECT_TRUE(split_files({path}, DocumentMode::kLine, *least / 2.5).valid.empty()) << *least;
  }
  TextSurvey tiny;
  tiny.documents = 1;
  tiny.document_bytes = {5};
  EXPECT_EQ(least_valid_share(tiny, 0.5), std::nullopt);
}

TEST(TextSplitter, RefusesTextThatGrewAfterTheSurvey) {
  const TempFolder folder;
  const std::string path = write_file(folder / "a", sample_line(100, 1) + "\n");
  const TextSurvey survey = survey_text(DocumentReader({path}, DocumentMode::kLine), nullptr);
  write_file(path, sample_line(100, 1) + "\n" + sample_line(100, 2) + "\n");
  EXPECT_NEXUS_ERROR(TextSplitter(survey, 0.1, DocumentReader({path}, DocumentMode::kLine)), ErrorKind::kData,
                     ::testing::HasSubstr("has changed while it was read"));
}

}  // namespace
}  // namespace nexus
