#include "data/text_survey.h"

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

// Surveys and splits a file, and puts the parts' documents together.
Parts split_file(const std::string& path, DocumentMode mode, double share) {
  TextSplitter splitter(survey_text(DocumentReader({path}, mode), nullptr), share);
  DocumentReader reader({path}, mode);
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

TEST(TextSurvey, CountsDocumentsAndBytes) {
  const TempFolder folder;
  const TextSurvey survey =
      survey_text(DocumentReader({write_file(folder / "a", "one\ntwo!\n\nsix\n")}, DocumentMode::kLine), nullptr);
  EXPECT_EQ(survey.documents, 3);
  EXPECT_EQ(survey.text_bytes, 10);
  EXPECT_THAT(survey.document_bytes, ::testing::ElementsAre(3, 4, 3));
}

TEST(TextSurvey, ListsNoDocumentsWhereThereAreTooMany) {
  const TempFolder folder;
  std::string text;
  for (size_t i = 0; i <= TextSurvey::kMaxListed; ++i) text += "x\n";
  const TextSurvey survey = survey_text(DocumentReader({write_file(folder / "a", text)}, DocumentMode::kLine), nullptr);
  EXPECT_EQ(survey.documents, static_cast<int64_t>(TextSurvey::kMaxListed) + 1);
  EXPECT_TRUE(survey.document_bytes.empty());
}

TEST(TextSplitter, HoldsOutTheTailOfASingleDocumentAtALineEnd) {
  const TempFolder folder;
  for (const int64_t size : {500, 8192, 100000, 300001}) {
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

}  // namespace
}  // namespace nexus
