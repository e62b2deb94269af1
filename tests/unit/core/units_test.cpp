#include "core/units.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace nexus {
namespace {

TEST(ParseCount, ReadsNumbersWithUnits) {
  EXPECT_EQ(parse_count("512"), 512);
  EXPECT_EQ(parse_count("0"), 0);
  EXPECT_EQ(parse_count("1.5K"), 1500);
  EXPECT_EQ(parse_count("240M"), 240'000'000);
  EXPECT_EQ(parse_count("100B"), 100'000'000'000);
  EXPECT_EQ(parse_count("2T"), 2'000'000'000'000);
  EXPECT_EQ(parse_count("4Ki"), 4096);
  EXPECT_EQ(parse_count("1Mi"), 1 << 20);
  EXPECT_EQ(parse_count("0.5Gi"), 1 << 29);
  EXPECT_EQ(parse_count("1Ti"), int64_t{1} << 40);
  EXPECT_EQ(parse_count("1e6"), 1'000'000);
}

TEST(ParseCount, AcceptsWholeNumbersThatBinaryCannotHold) {
  EXPECT_EQ(parse_count("0.1B"), 100'000'000);
  EXPECT_EQ(parse_count("1.1M"), 1'100'000);
  EXPECT_EQ(parse_count("0.3K"), 300);
}

TEST(ParseCount, KeepsEveryDigitOfALargeInteger) {
  EXPECT_EQ(parse_count("9007199254740993"), (int64_t{1} << 53) + 1);
  EXPECT_EQ(parse_count("4611686018427387904"), int64_t{1} << 62);
  EXPECT_EQ(parse_count("4611686018427387905"), std::nullopt);
}

TEST(ParseCount, RefusesWhatIsNoWholeCount) {
  for (const char* text : {"",
                           "K",
                           "1.5",
                           "0.0001K",
                           "1e-7",
                           "1.0000001",
                           "-1",
                           "-0.5K",
                           "inf",
                           "nan",
                           "infinity",
                           "1e400",
                           "1e19",
                           "99999999999999999999",
                           "5T T",
                           "1 M",
                           " 1",
                           "1 ",
                           "+1",
                           "0x10",
                           "1_000",
                           "1,000",
                           "1m",
                           "1k",
                           "1MiB",
                           "1Mi1",
                           "--1",
                           "1e",
                           "\xef\xbc\x91",
                           "5000000T"})
    EXPECT_EQ(parse_count(text), std::nullopt) << '"' << text << '"';
  EXPECT_EQ(parse_count(std::string_view("1\0", 2)), std::nullopt);
}

TEST(ParseDuration, ReadsUnitsAndClockTimes) {
  EXPECT_EQ(parse_duration("90"), 90.0);
  EXPECT_EQ(parse_duration("30s"), 30.0);
  EXPECT_EQ(parse_duration("250ms"), 0.25);
  EXPECT_EQ(parse_duration("30min"), 1800.0);
  EXPECT_EQ(parse_duration("1.5h"), 5400.0);
  EXPECT_EQ(parse_duration("1d"), 86400.0);
  EXPECT_EQ(parse_duration("24:00:00"), 86400.0);
  EXPECT_EQ(parse_duration("01:30"), 90.0);
}

TEST(ParseDuration, RefusesWhatIsNoDuration) {
  for (const char* text : {"", ":", "1:", ":1", "1:2:3:4", "-1", "-1:00", "1:-5", "1:2.5", "nan", "inf", "1e400",
                           "1e308d", "1 h", "1hour", "99999999999999999999:00", "+1:00", "1::2"})
    EXPECT_EQ(parse_duration(text), std::nullopt) << '"' << text << '"';
}

TEST(FormatCount, ShowsThreeOrFourDigits) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1.00k");
  EXPECT_EQ(format_count(239'500'000), "239.5M");
  EXPECT_EQ(format_count(1'070'000'000), "1.07B");
  EXPECT_EQ(format_count(30'000'000'000'000), "30.0T");
  EXPECT_EQ(format_count(-1'500'000), "-1.50M");
}

TEST(FormatCount, RoundsUpIntoTheNextUnit) {
  EXPECT_EQ(format_count(999'940), "999.9k");
  EXPECT_EQ(format_count(999'950), "1.00M");
  EXPECT_EQ(format_count(999'999'999), "1.00B");
}

TEST(FormatSeconds, ShowsAClockAndDays) {
  EXPECT_EQ(format_seconds(0), "0:00:00");
  EXPECT_EQ(format_seconds(409), "0:06:49");
  EXPECT_EQ(format_seconds(86399), "23:59:59");
  EXPECT_EQ(format_seconds(2 * 86400 + 3 * 3600), "2d 03:00:00");
  EXPECT_EQ(format_seconds(-5), "0:00:00");
}

TEST(FormatBytes, UsesPowersOfTen) {
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1500), "1.5 kB");
  EXPECT_EQ(format_bytes(2'500'000), "2.5 MB");
  EXPECT_EQ(format_bytes(5'280'000'000), "5.28 GB");
}

TEST(EditDistance, CountsInsertionsDeletionsAndSubstitutions) {
  EXPECT_EQ(edit_distance("", ""), 0);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("abc", ""), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("warmup", "warmpu"), 2);
}

TEST(Nearest, SuggestsTheClosestWordOnly) {
  const std::vector<std::string> keys{"tokens", "warmup", "peak", "M"};
  EXPECT_EQ(nearest("token", keys), "tokens");
  EXPECT_EQ(nearest("wramup", keys), "warmup");
  EXPECT_EQ(nearest("schedule", keys), "");
  EXPECT_EQ(nearest("A", keys), "");  // a one-letter key is half changed by any one edit
  EXPECT_EQ(nearest("x", std::vector<std::string>{}), "");
}

}  // namespace
}  // namespace nexus
