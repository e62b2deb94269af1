#include "core/ascii.h"

#include <gtest/gtest.h>

namespace nexus {
namespace {

TEST(Ascii, KnowsNoOtherLettersDigitsOrControlCharacters) {
  int letters = 0, digits = 0, controls = 0;
  for (int code = 0; code < 256; ++code) {
    const char c = static_cast<char>(code);
    letters += is_letter(c);
    digits += is_digit(c);
    controls += is_control(c);
    EXPECT_EQ(is_letter_or_digit(c), is_letter(c) || is_digit(c));
  }
  EXPECT_EQ(letters, 52);
  EXPECT_EQ(digits, 10);
  EXPECT_EQ(controls, 33);
}

TEST(Ascii, TellsWhetherATextIsMadeOfTheseSigns) {
  EXPECT_TRUE(is_made_of("a-B_9", "_-"));
  EXPECT_TRUE(is_made_of("", ""));
  for (const char* text : {"a b", "a.b", "\xc3\xa4", "a\n"}) EXPECT_FALSE(is_made_of(text, "_-")) << text;
}

}  // namespace
}  // namespace nexus
