#include "core/run_folder.h"

#include <gtest/gtest.h>

namespace nexus {
namespace {

TEST(RunFolder, PutsEveryNameUnderItsRoot) {
  const RunFolder run{"runs/a"};
  EXPECT_EQ(run.metrics(), "runs/a/metrics.jsonl");
  EXPECT_EQ(run.status(), "runs/a/STATUS");
  EXPECT_EQ(run.stop_request(), "runs/a/STOP");
}

TEST(RunFolder, CheckpointsSortByStep) {
  const RunFolder run{"runs/a"};
  EXPECT_EQ(run.checkpoint("s240", 1840), "runs/a/checkpoints/s240/0001840");
  EXPECT_EQ(run.checkpoint("s240", 12345678), "runs/a/checkpoints/s240/12345678");
  EXPECT_LT(run.checkpoint("s240", 999), run.checkpoint("s240", 1000));
}

TEST(SafeName, AcceptsLettersDigitsDotsDashesAndUnderscores) {
  for (const char* name : {"a", "s240", "nexus-240m_to.440m", "7", "_x"}) EXPECT_TRUE(is_safe_name(name)) << name;
  EXPECT_TRUE(is_safe_name(std::string(100, 'x')));
}

TEST(SafeName, RefusesWhatIsNoPlainFolderName) {
  for (const char* name : {"", ".", "..", ".hidden", "-rf", "a/b", "a b", "a\n", "a;b", "$a", "\xc3\xa9", "a\\b"})
    EXPECT_FALSE(is_safe_name(name)) << name;
  EXPECT_FALSE(is_safe_name(std::string(101, 'x')));
  EXPECT_FALSE(is_safe_name(std::string("a\0b", 3)));
}

}  // namespace
}  // namespace nexus
