#include "monitor/top.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "monitor/terminal_plot.h"
#include "unit/monitor/series_support.h"

namespace nexus {
namespace {

using testing::HasSubstr;
using testing::Not;

TopRun run_of(const std::string& name, const std::string& status) {
  TopRun run;
  run.view.run = name;
  run.view.status = status;
  run.view.stages = {{"s0", "done", 10, 10, 10, 1000, 1000}, {"s1", "running", 10, 5, 0, 1000, 500}};
  run.view.seconds_left = 75;
  run.view.spent = {{"gpu_hours", 1.5, 4.0}, {"node_hours", 1, {}}, {"money", 3, {}}};
  run.series = {name, name, {}, {step_row(1, 1, 5, 1), step_row(1, 2, 4, 2), step_row(1, 3, 3, 3)}};
  return run;
}

TEST(Top, ShowsARunsProgressCourseTimeLeftAndCost) {
  const auto lines = lines_of(top_text({run_of("runs/a", "running stage s1 step 5 of 10 loss 3 | generation 1")}, 120));
  ASSERT_EQ(lines.size(), 3U);
  for (const char* part : {"runs/a", "running", "s1 2/2", "75 %", "3.0000", "█", "▁", "5.00k", "0:01:15", "1.5/4 h 3"})
    EXPECT_THAT(lines[1], HasSubstr(part));
  EXPECT_EQ(lines[2], "1 of 1 running | 5.00k tok/s | 1.5 gpu_hours | money 3");
}

TEST(Top, TellsHowRunsHaveEnded) {
  const std::string text = top_text(
      {run_of("a", "done | stages 2 | reason done | exit 0 | generation 1"),
       run_of("b", "stopped | exit 75 | generation 1"), run_of("c", "nexus: error: x | exit 74 | generation 1"),
       run_of("d", "killed stage s1 (its process is gone)"), run_of("e", "")},
      120);
  const auto lines = lines_of(text);
  EXPECT_THAT(lines[1], HasSubstr("  done"));
  EXPECT_THAT(lines[2], HasSubstr("  stopped"));
  EXPECT_THAT(lines[3], HasSubstr("  exit 74"));
  EXPECT_THAT(lines[4], HasSubstr("  killed"));
  EXPECT_THAT(lines[5], HasSubstr("  waiting"));
  EXPECT_THAT(text, Not(HasSubstr("0:01:15"))) << "nothing of these has time left";
  EXPECT_THAT(lines[6], HasSubstr("0 of 5 running | 7.5 gpu_hours"));
}

TEST(Top, KeepsToTheWidthOfTheTerminal) {
  const TopRun run = run_of("runs/a-name-that-is-much-too-long-for-any-terminal/seed-1", "running stage s1");
  for (const int columns : {100, 120, 200})
    for (const std::string& line : lines_of(top_text({run}, columns))) EXPECT_LE(columns_of(line), columns) << line;
  EXPECT_THAT(top_text({run}, 100), HasSubstr("seed-1")) << "the end of a path tells more";
  EXPECT_EQ(lines_of(top_text({}, 100)).back(), "0 of 0 running | 0 gpu_hours");
}

}  // namespace
}  // namespace nexus
