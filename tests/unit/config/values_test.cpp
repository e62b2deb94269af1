// The types of values: what they read, what they refuse, and that their canonical text reads back.
#include <gtest/gtest.h>

#include "config/values.h"
#include "core/error.h"

namespace nexus {
namespace {

template <typename Type>
auto read(const Type& type, const std::string& text) {
  return type.parse(parse_yaml(text, "t"), "key");
}

template <typename Type>
bool refuses(const Type& type, const std::string& text) {
  try {
    read(type, text);
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kConfig;
  }
  return false;
}

TEST(Count, TakesUnits) {
  const CountType count{0, INT64_MAX};
  EXPECT_EQ(read(count, "512"), 512);
  EXPECT_EQ(read(count, "'512'"), 512);
  EXPECT_EQ(read(count, "1Mi"), 1048576);
  EXPECT_EQ(read(count, "100B"), 100000000000);
  EXPECT_EQ(read(count, "0.5K"), 500);
  EXPECT_EQ(read(count, "1e6"), 1000000);
}

TEST(Count, IsExactBeyondFloatingPoint) {
  EXPECT_EQ(read(CountType{0, INT64_MAX}, "9007199254740993"), 9007199254740993);  // 2^53 + 1
  EXPECT_EQ(read(CountType{0, INT64_MAX}, "9223372036854775807"), INT64_MAX);
}

TEST(Count, RefusesWhatIsNoWholeNumberInRange) {
  const CountType count{1, 1000};
  for (const char* text : {"0",    "1001", "-5",    "+5",   "1.5", "007", "0x10",
                           "0o17", "1_0",  "1 000", "ten",  "''",  "[]",  "{}",
                           "~",    "nan",  "inf",   "1:30", "1m",  "1Zi", "9223372036854775808",
                           "1e400"})
    EXPECT_TRUE(refuses(count, text)) << text;
}

TEST(Count, HasAWordForNothing) {
  EXPECT_EQ(read(CountType{1, 9, "auto"}, "auto"), 0);
  EXPECT_EQ((CountType{1, 9, "auto"}.text(0)), "auto");
  EXPECT_EQ(read(CountType{1, 9, "null"}, "null"), 0);
  EXPECT_TRUE(refuses(CountType{1, 9, "auto"}, "null"));
  EXPECT_TRUE(refuses(CountType{1, 9, "null"}, "auto"));
}

TEST(Real, ReadsBackItsOwnText) {
  const RealType real{0, 1e300};
  for (const double value : {0.0, 1.0, 0.1, 1e-8, 6e-4, 1.0 / 3.0, 12345678.9, 5e-324, 1e300})
    EXPECT_EQ(read(real, real.text(value)), value);
}

TEST(Real, RefusesWhatIsNotFiniteOrOutOfRange) {
  const RealType real{0, 1, true};
  for (const char* text :
       {"0", "1.1", "-0.1", ".nan", "nan", ".inf", "inf", "1e999", "0x1p-2", "01.5", "1%", "a", "~", "[1]"})
    EXPECT_TRUE(refuses(real, text)) << text;
  EXPECT_EQ(read(real, "1"), 1.0);
}

TEST(Flag, IsTrueOrFalseOnly) {
  EXPECT_TRUE(read(FlagType{}, "true"));
  EXPECT_FALSE(read(FlagType{}, "false"));
  for (const char* text : {"yes", "no", "on", "off", "y", "True", "FALSE", "1", "0", "~", "''"})
    EXPECT_TRUE(refuses(FlagType{}, text)) << text;
}

TEST(SpanText, SaysItsUnit) {
  EXPECT_EQ(read(SpanType{}, "1%").unit, Span::Unit::kShare);
  EXPECT_EQ(read(SpanType{}, "1%").value, 0.01);
  EXPECT_EQ(read(SpanType{}, "200 steps").unit, Span::Unit::kSteps);
  EXPECT_EQ(read(SpanType{}, "200 steps").value, 200);
  EXPECT_EQ(read(SpanType{}, "1step").value, 1);
  EXPECT_EQ(read(SpanType{}, "1.2B").unit, Span::Unit::kTokens);
  EXPECT_EQ(read(SpanType{}, "1200 tokens").value, 1200);
  EXPECT_EQ(read(SpanType{}, "0").value, 0);
  for (const char* text :
       {"200", "1e3", "-1%", "101%", "nan%", "%", "30min", "steps", "1.5 steps", "1B steps tokens", "~"})
    EXPECT_TRUE(refuses(SpanType{}, text)) << text;
}

TEST(SpanText, ReadsBack) {
  for (const char* text : {"0", "1%", "7%", "0.3%", "33.3%", "100%", "200 steps", "5000000 tokens"})
    EXPECT_EQ(SpanType{}.text(read(SpanType{}, text)), text);
}

TEST(PeriodText, SaysItsUnit) {
  EXPECT_EQ(read(PeriodType{}, "30min").value, 1800);
  EXPECT_EQ(read(PeriodType{}, "24:00:00").value, 86400);
  EXPECT_EQ(read(PeriodType{}, "10B").unit, Period::Unit::kTokens);
  EXPECT_EQ(read(PeriodType{}, "500 steps").unit, Period::Unit::kSteps);
  EXPECT_EQ(read(PeriodType{}, "never").unit, Period::Unit::kNever);
  for (const char* text : {"30", "0", "0s", "-1s", "30m", "1e308d", "nan s", "nans", "0 steps", "always", "~", "1%"})
    EXPECT_TRUE(refuses(PeriodType{}, text)) << text;
  EXPECT_TRUE(refuses(PeriodType{false}, "30min"));
}

TEST(PeriodText, ReadsBack) {
  for (const char* text : {"never", "500ms", "45s", "30min", "90min", "2h", "24h", "500 steps", "10000000000 tokens"}) {
    const std::string canonical = PeriodType{}.text(read(PeriodType{}, text));
    EXPECT_EQ(read(PeriodType{}, canonical).value, read(PeriodType{}, text).value) << text;
    EXPECT_EQ(PeriodType{}.text(read(PeriodType{}, canonical)), canonical);
  }
}

TEST(ChoiceList, IsAListOfSomeOfItsNames) {
  const ChoiceListType type{{"loss", "hits"}};
  EXPECT_EQ(read(type, "[hits, loss]"), (std::vector<std::string>{"hits", "loss"}));
  EXPECT_EQ(type.text(read(type, "[hits, loss]")), "[hits, loss]");
  EXPECT_TRUE(read(type, "[]").empty());
  EXPECT_TRUE(read(type, "~").empty());
  for (const char* text : {"loss", "[los]", "[loss, loss]", "[[loss]]", "[~]", "{loss: 1}", "1"})
    EXPECT_TRUE(refuses(type, text)) << text;
}

TEST(PathList, IsAListOfDifferentPaths) {
  const PathListType type;
  EXPECT_EQ(read(type, "[hellaswag, a/b.yaml]"), (std::vector<std::string>{"hellaswag", "a/b.yaml"}));
  EXPECT_EQ(type.text(read(type, "[a, \"b c\"]")), "[a, \"b c\"]");
  EXPECT_TRUE(read(type, "[]").empty());
  EXPECT_TRUE(read(type, "~").empty());
  for (const char* text : {"a", "[a, a]", "[[a]]", "[~]", "{a: 1}"}) EXPECT_TRUE(refuses(type, text)) << text;
}

TEST(QuotedText, QuotesWhatCouldBeTakenForSomethingElse) {
  for (const char* text : {"runs/x", "nexus-240m", "./a", "../a", "a.b_c-d"}) EXPECT_EQ(quoted_text(text), text);
  for (const char* text : {"null", "No", "TRUE", "1e5", "240m", ".nan", "-x", "a b", "a:b", "", "~", "#"})
    EXPECT_EQ(quoted_text(text), fmt::format("\"{}\"", text));
  EXPECT_EQ(quoted_text("a\"\\"), "\"a\\\"\\\\\"");
}

}  // namespace
}  // namespace nexus
