#include "workloads/text/tokenizer_check.h"

#include <limits>

#include "sample_text.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;
using testing::sample_tokenizer;

std::string field(int number, const std::string& bytes) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  for (size_t size = bytes.size();; size >>= 7) {
    out += static_cast<char>((size & 0x7F) | (size > 0x7F ? 0x80 : 0));
    if (size <= 0x7F) break;
  }
  return out + bytes;
}

std::string piece(const std::string& text, int type = 1, float score = 0) {
  std::string message = field(1, text) + "\x15";
  message.append(reinterpret_cast<const char*>(&score), 4);
  return field(1, message + "\x18" + static_cast<char>(type));
}

std::string word(uint32_t value) {
  return {reinterpret_cast<const char*>(&value), 4};
}

// A model whose normaliser has this table.
std::string with_table(const std::string& table) {
  return piece("a") + field(3, field(2, table));
}

TEST(TokenizerCheck, AcceptsWhatNexusTrains) {
  const TokenizerOutline outline = check_tokenizer_model(sample_tokenizer().model_bytes(), "m");
  EXPECT_TRUE(outline.is_bpe);
  EXPECT_EQ(outline.bos, "<s>");
  EXPECT_EQ(outline.pieces, 500);
  EXPECT_FALSE(outline.adds_dummy_prefix);
  EXPECT_FALSE(outline.removes_extra_whitespace);
}

TEST(TokenizerCheck, RefusesWhatIsNoModel) {
  for (const std::string& text :
       {std::string(), std::string("{\"model\": 1}"), std::string(100, '\xff'), field(2, "abc")})
    EXPECT_NEXUS_ERROR(check_tokenizer_model(text, "m"), ErrorKind::kData,
                       HasSubstr("not a usable SentencePiece model"));
}

TEST(TokenizerCheck, RefusesTheModelCutAnywhereInsideAField) {
  const std::string& model = sample_tokenizer().model_bytes();
  int refused = 0;
  for (size_t size = 0; size < model.size(); size += 37) {
    try {
      Tokenizer::from_bytes(model.substr(0, size), "m");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kData);
      ++refused;
    }
  }
  // Every cut loses at least the trainer's and normaliser's settings; a cut between two pieces leaves a model without
  // its byte pieces or none at all, which SentencePiece may accept.
  EXPECT_GT(refused, static_cast<int>(model.size() / 37 * 8 / 10));
}

TEST(TokenizerCheck, SurvivesAnyFlippedByte) {
  const std::string& model = sample_tokenizer().model_bytes();
  const RandomStream random(1, "flips");
  for (uint64_t i = 0; i < 500; ++i) {
    std::string copy = model;
    copy[random.below(2 * i, copy.size())] ^= static_cast<char>(1 + random.below(2 * i + 1, 255));
    try {
      const Tokenizer tokenizer = Tokenizer::from_bytes(copy, "m");
      tokenizer.decode(tokenizer.encode("the model of tokens\n 42 東京"));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kData) << error.what();
    }
  }
}

TEST(TokenizerCheck, RefusesPiecesThatHarmSentencePiece) {
  const auto refused = [](const std::string& model, const char* why) {
    EXPECT_NEXUS_ERROR(check_tokenizer_model(piece("a") + model, "m"), ErrorKind::kData, HasSubstr(why));
  };
  EXPECT_EQ(check_tokenizer_model(piece(std::string(512, 'x')), "m").pieces, 1);
  refused(piece(std::string(513, 'x')), "a piece of 513 bytes");
  refused(piece(""), "an empty piece");
  refused(piece("x", 1, std::numeric_limits<float>::quiet_NaN()), "score that is not finite");
  EXPECT_EQ(check_tokenizer_model(piece("<0xFF>", 6), "m").pieces, 1);
  refused(piece("<0xGG>", 6), "names no byte");
  refused(piece("x", 6), "names no byte");
}

TEST(TokenizerCheck, RefusesTablesThatLeadOutOfBounds) {
  std::string trie;
  for (int i = 0; i < 256; ++i) trie += word(0);
  const std::string strings("a\0", 2);
  EXPECT_EQ(check_tokenizer_model(with_table(word(1024) + trie + strings), "m").pieces, 1);

  const auto refused = [](const std::string& table) {
    EXPECT_NEXUS_ERROR(check_tokenizer_model(with_table(table), "m"), ErrorKind::kData,
                       HasSubstr("normalisation table"));
  };
  refused("abc");
  refused(word(4096) + trie + strings);                                  // longer than the file
  refused(word(1024) + trie + "a");                                      // the last string never ends
  refused(word(1024) + word(5U << 10 << 8) + trie.substr(4) + strings);  // a step far beyond the trie
  refused(word(1024) + word(1U << 8 | 1U << 10) + word(0x80000002) + trie.substr(8) +
          strings);  // a string beyond the end
}

}  // namespace
}  // namespace nexus
