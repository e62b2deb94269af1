#include "workloads/text/tokenizer.h"

#include "sample_text.h"
#include "sentence_lines.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "workloads/text/document_reader.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;
using testing::sample_text;
using testing::sample_tokenizer;

// A model as others train it: with a dummy prefix, `kind` bpe or unigram.
Tokenizer foreign_tokenizer(const std::string& kind, bool removes_spaces, const std::string& normalization) {
  testing::Lines lines(sample_text(60000));
  std::string model;
  const auto status =
      sentencepiece::SentencePieceTrainer::Train({{"model_type", kind},
                                                  {"vocab_size", "340"},
                                                  {"byte_fallback", "true"},
                                                  {"normalization_rule_name", normalization},
                                                  {"remove_extra_whitespaces", removes_spaces ? "true" : "false"},
                                                  {"num_threads", "1"},
                                                  {"minloglevel", "2"}},
                                                 &lines, &model);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return Tokenizer::from_bytes(model, kind);
}

std::vector<int32_t> encode_in_pieces(const Tokenizer& tokenizer, const std::string& text, size_t* cuts) {
  PieceCutter cutter;
  cutter.append(text);
  cutter.end_document();
  std::vector<int32_t> ids;
  *cuts = 0;
  while (const std::optional<TextPiece> piece = cutter.take()) {
    const auto part =
        piece->begins_document ? tokenizer.encode(piece->text) : tokenizer.encode_continuation(piece->text);
    ids.insert(ids.end(), part.begin(), part.end());
    *cuts += !piece->begins_document;
  }
  return ids;
}

TEST(Tokenizer, GivesEveryTextBack) {
  for (const std::string& text :
       {sample_text(100000), std::string(""), std::string(" "), std::string("\n\n\t  \r\n x  "), std::string("a\0b", 3),
        std::string("<s> </s> <unk> <0x0A> [MASK]"), std::string("\u00a0\u200b\ufeff ｆｕｌｌ ﬁ é e\u0301 \U0010fffd")})
    EXPECT_EQ(sample_tokenizer().decode(sample_tokenizer().encode(text)), text);
}

TEST(Tokenizer, GivesRandomUnicodeBack) {
  const RandomStream random(7, "unicode");
  std::string text;
  for (uint64_t i = 0; i < 20000; ++i) {
    const auto c = static_cast<uint32_t>(random.below(2 * i, i % 2 ? 0x300 : 0x11000));
    if (c >= 0xD800 && c < 0xE000) continue;
    if (c == 0x2581) continue;  // SentencePiece's own sign for a space
    if (c < 0x80)
      text += static_cast<char>(c);
    else if (c < 0x800)
      text += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
    else if (c < 0x10000)
      text += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)),
               static_cast<char>(0x80 | (c & 63))};
  }
  EXPECT_EQ(sample_tokenizer().decode(sample_tokenizer().encode(text)), text);
}

TEST(Tokenizer, JoinsPiecesToTheTokensOfTheWholeText) {
  const std::string text = sample_text(400000, 3);
  size_t cuts = 0;
  EXPECT_EQ(encode_in_pieces(sample_tokenizer(), text, &cuts), sample_tokenizer().encode(text));
  EXPECT_GT(cuts, 40u);
}

TEST(Tokenizer, JoinsPiecesOfModelsWithADummyPrefixToo) {
  const std::string text = sample_text(200000, 4);
  for (const char* kind : {"bpe", "unigram"})
    for (const bool removes_spaces : {false, true})
      for (const char* normalization : {"identity", "nmt_nfkc"}) {
        const Tokenizer tokenizer = foreign_tokenizer(kind, removes_spaces, normalization);
        size_t cuts = 0;
        EXPECT_EQ(encode_in_pieces(tokenizer, text, &cuts), tokenizer.encode(text))
            << kind << " " << removes_spaces << " " << normalization;
        EXPECT_GT(cuts, 20u);
      }
}

TEST(Tokenizer, AddsNoTokensWhereTextHasNoPlaceToCut) {
  std::string text;
  while (text.size() < 100000) text += "東京слово";
  size_t cuts = 0;
  const std::vector<int32_t> ids = encode_in_pieces(sample_tokenizer(), text, &cuts);
  EXPECT_GT(cuts, 10u);
  EXPECT_EQ(sample_tokenizer().decode(ids), text);
  // Each cut can undo the merges of one word: at most the 10 characters of these.
  EXPECT_LE(ids.size(), sample_tokenizer().encode(text).size() + 10 * cuts);
}

TEST(Tokenizer, RefusesIdsOutsideTheVocabulary) {
  const std::vector<int32_t> high = {3, 500}, low = {-1};
  EXPECT_NEXUS_ERROR(sample_tokenizer().decode(high), ErrorKind::kData,
                     HasSubstr("500 is outside the vocabulary of 500"));
  EXPECT_NEXUS_ERROR(sample_tokenizer().decode(low), ErrorKind::kData, HasSubstr("-1 is outside"));
}

TEST(Tokenizer, LoadsTheFileItWasStoredIn) {
  const TempFolder folder;
  const Tokenizer loaded(testing::write_file(folder / "m.model", sample_tokenizer().model_bytes()));
  EXPECT_EQ(loaded.digest(), sample_tokenizer().digest());
  EXPECT_EQ(loaded.encode("the model"), sample_tokenizer().encode("the model"));
}

}  // namespace
}  // namespace nexus
