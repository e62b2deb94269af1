#include "sampling/text_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "workloads/text/vocabulary.h"

namespace nexus {
namespace {

// A vocabulary of few words: characters that it does not know come as their bytes, a token each.
class TextStreams : public ::testing::Test {
 protected:
  // What a stream says of the tokens of `text` behind `prompt`, one by one, and at its end.
  std::vector<std::string> pieces(const std::string& prompt, const std::string& text,
                                  const std::vector<std::string>& stops = {}) {
    const std::vector<int32_t> before = tokenizer_.encode(prompt), whole = tokenizer_.encode(prompt + text);
    TextStream stream(tokenizer_, before, stops);
    std::vector<std::string> result;
    for (size_t i = before.size(); i < whole.size(); ++i) result.push_back(stream.add(whole[i]));
    stopped_ = stream.stopped();
    result.push_back(stream.finish());
    return result;
  }
  static std::string joined(const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts) text += part;
    return text;
  }

  Tokenizer tokenizer_ = Tokenizer::from_bytes(
      train_vocabulary(std::vector<std::string>(50, "the man saw the sign and the man ran on\n"), 300), "test");
  bool stopped_ = false;
};

TEST_F(TextStreams, JoinToTheText) {
  const std::vector<std::string> parts = pieces("the man", " saw the sign");
  EXPECT_EQ(joined(parts), " saw the sign");
  EXPECT_GT(parts.size(), 3U);
  EXPECT_EQ(parts.back(), "");  // nothing was held back
  EXPECT_EQ(joined(pieces("", "the man")), "the man");
}

TEST_F(TextStreams, DoNotEndInsideACharacter) {
  const std::string smile = "\xF0\x9F\x99\x82", umlaut = "\xC3\xBC";
  const std::vector<std::string> parts = pieces("the", smile + umlaut + " man");
  EXPECT_EQ(joined(parts), smile + umlaut + " man");
  EXPECT_THAT(std::vector<std::string>(parts.begin(), parts.begin() + 6),
              ::testing::ElementsAre("", "", "", smile, "", umlaut));
}

// A text that ends inside a character ends as the tokenizer says.
TEST_F(TextStreams, TellAllAtTheEnd) {
  TextStream stream(tokenizer_, {});
  EXPECT_EQ(stream.add(tokenizer_.encode("\xC3\xBC").at(0)), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
}

TEST_F(TextStreams, EndBeforeAStop) {
  EXPECT_EQ(joined(pieces("the man", " saw the sign and ran", {" and", "never"})), " saw the sign");
  EXPECT_TRUE(stopped_);
  // The first one of several; a stop of the prompt is none.
  EXPECT_EQ(joined(pieces("the man", " saw the sign and ran", {" and", "the s", "man"})), " saw ");
  // What only begins like one is held back until it is clear, and told.
  const std::vector<std::string> parts = pieces("the", " man saw", {"man sawn"});
  EXPECT_FALSE(stopped_);
  EXPECT_EQ(joined(parts), " man saw");
  EXPECT_EQ(parts.back(), "man saw");
}

TEST(WholeCharacters, LeaveOutWhatIsNotWhole) {
  EXPECT_EQ(whole_characters(""), 0U);
  EXPECT_EQ(whole_characters("ab"), 2U);
  EXPECT_EQ(whole_characters("ab\xC3"), 2U);
  EXPECT_EQ(whole_characters("ab\xC3\xBC"), 4U);
  EXPECT_EQ(whole_characters("a\xE2\x82"), 1U);
  EXPECT_EQ(whole_characters("a\xE2\x82\xAC"), 4U);
  EXPECT_EQ(whole_characters("a\xF0\x9F\x99"), 1U);
  EXPECT_EQ(whole_characters("a\xF0\x9F\x99\x82"), 5U);
  EXPECT_EQ(whole_characters("a\xEF\xBF\xBD\xEF\xBF\xBD"), 1U);
  EXPECT_EQ(whole_characters("\x80"), 1U);  // will not become whole
}

}  // namespace
}  // namespace nexus
