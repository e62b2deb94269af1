// Hostile files (reliability.md section 3): each is refused with a reason, and quickly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "config/yaml_tree.h"
#include "core/files.h"
#include "unit/config/config_test_support.h"

namespace nexus::testing {
namespace {

using ::testing::HasSubstr;

// Refusing takes milliseconds; two seconds leave room for sanitizers and a busy machine, and still catch quadratic work
// (256 KiB of brackets would take minutes).
constexpr double kMaxSeconds = 2.0;

template <typename Load>
double seconds_of(Load load) {
  const auto begin = std::chrono::steady_clock::now();
  load();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// tests/fuzz/config: the first line of each file says "# expect: WHAT", which the message must hold.
TEST(HostileFile, IsRefusedWithItsReason) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(NEXUS_SOURCE_DIR "/tests/fuzz/config")) {
    const std::string text = read_text_file(entry.path().string());
    const std::string mark = "# expect: ";
    ASSERT_EQ(text.compare(0, mark.size(), mark), 0) << entry.path();
    const std::string expected = text.substr(mark.size(), text.find('\n') - mark.size());
    std::string message;
    const double seconds = seconds_of([&] { message = refusal_of(text); });
    EXPECT_NE(message, "accepted") << entry.path();
    EXPECT_THAT(message, HasSubstr(expected)) << entry.path();
    EXPECT_THAT(message, HasSubstr("; c.yaml")) << entry.path();
    EXPECT_LT(seconds, kMaxSeconds) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 70);
}

TEST(HostileText, ThatIsTooLargeIsRefusedUnread) {
  EXPECT_THAT(refusal_of("name: " + std::string(300 << 10, 'x')), HasSubstr("bytes, more than 262144"));
}

std::string repeated(const std::string& text, size_t count) {
  std::string result;
  for (size_t i = 0; i < count; ++i) result += text;
  return result;
}

TEST(HostileText, ThatNestsTenThousandDeepIsRefusedQuickly) {
  for (const char* opening : {"[", "{a: ", "- ", "? ", "[{a: ", "a: [", "!x [", "\"\"\n- "}) {
    std::string message;
    const double seconds = seconds_of([&] { message = refusal_of(repeated(opening, 10000)); });
    EXPECT_NE(message, "accepted") << opening;
    EXPECT_LT(seconds, kMaxSeconds) << opening;
  }
}

TEST(HostileText, ThatFillsTheWholeSizeWithMarksIsRefusedQuickly) {
  for (const char* unit :
       {"[", "{", "]", "}",  ",",   ":",  "-",   "- ",   "? ", "&a ",    "*a ",   "! ",    "|\n",    ">",   "\"",
        "'", "%", "#", "\n", "a: ", "[,", "a\n", "a:\n", "[]", "- []\n", "---\n", "...\n", "{a: b}", "<<: "}) {
    std::string message;
    const std::string text = repeated(unit, (kMaxConfigBytes - 1) / std::string(unit).size());
    const double seconds = seconds_of([&] { message = refusal_of(text); });
    EXPECT_NE(message, "accepted") << unit;
    EXPECT_LT(seconds, kMaxSeconds) << unit;
  }
}

TEST(HostileText, WithManyStagesIsRefused) {
  std::string stages;
  for (int i = 0; i < 1001; ++i) stages += "- {name: s" + std::to_string(i) + ", tokens: 1B, lr: {peak: 1}}\n";
  EXPECT_THAT(refusal_of("name: x\nstages:\n" + stages), HasSubstr("more than 1000 items"));
}

TEST(HostileAssignment, IsRefused) {
  const std::string file = NEXUS_SOURCE_DIR "/configs/reference.yaml";
  for (const char* assignment :
       {"", "=", "model", "model.=1", ".M=1", "model..M=1", "stages.2.tokens=1", "stages.-1.tokens=1", "stages.x=1",
        "name.x=1", "seed=[1", "seed=&a 1", "seed=1\n---\n2", "model.M\n=5", "seed=!!int 5",
        "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q=1"})
    EXPECT_THAT(refusal([&] { load_campaign(file, {}, {assignment}); }), HasSubstr("command line")) << assignment;
}

TEST(HostileFileName, IsRefused) {
  EXPECT_THAT(refusal([] { load_campaign("a\nb: c.yaml"); }), HasSubstr("the file's name holds a line break"));
}

}  // namespace
}  // namespace nexus::testing
