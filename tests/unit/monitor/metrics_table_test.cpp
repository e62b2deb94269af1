#include "monitor/metrics_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/monitor/series_support.h"

namespace nexus {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(MetricsTable, ShowsTheLastRowsUnderTheirNames) {
  RunSeries series{"run", "run", {}, {step_row(0, 1, 4.5, 1), step_row(0, 2, 4.25, 2), eval_row(0, 2, 4.0, 3)}};
  MetricsTable table({});
  EXPECT_THAT(table.header(), HasSubstr("step_ms  tok_per_s  mfu_pct"));
  const std::string text = table.last(series, 2);
  EXPECT_THAT(text, Not(HasSubstr("4.5000")));
  EXPECT_THAT(
      text, HasSubstr("s0                  2      200    4.2500  1.00e-03     0.500      20.0      5.00k        -\n"));
  EXPECT_THAT(text, HasSubstr("   4.0000 ppl 54.598 (evaluation)\n"));
  EXPECT_THAT(table.last(series, 0), HasSubstr("4.5000"));
}

TEST(MetricsTable, FollowsOnlyWhatIsNewAndSaysWhereARunWentBack) {
  RunSeries series{"run", "run", {}, {step_row(0, 1, 4.5, 1), step_row(0, 2, 4.25, 2)}};
  MetricsTable table({});
  table.last(series, 10);
  EXPECT_EQ(table.news(series), "");
  series.rows.push_back(eval_row(0, 2, 4.0, 2.5));
  series.rows.push_back(step_row(0, 3, 3.75, 3));
  const std::string news = table.news(series);
  EXPECT_THAT(news, HasSubstr("evaluation"));
  EXPECT_THAT(news, HasSubstr("3.7500"));
  EXPECT_THAT(news, Not(HasSubstr("4.2500")));
  // Killed, and on from step 1.
  series.rows = {step_row(0, 1, 4.5, 1), step_row(0, 2, 4.26, 9)};
  EXPECT_THAT(table.news(series),
              testing::AllOf(HasSubstr("went on from an earlier checkpoint: step 2 again"), HasSubstr("4.2600")));
  EXPECT_EQ(table.news(series), "");
}

}  // namespace
}  // namespace nexus
