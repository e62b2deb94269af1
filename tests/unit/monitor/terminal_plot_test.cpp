#include "monitor/terminal_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "unit/monitor/series_support.h"

namespace nexus {
namespace {

using testing::HasSubstr;
using testing::Not;

PlotOptions small() {
  PlotOptions options;
  options.title = "loss";
  options.x_label = "tokens";
  options.width = 32;
  options.height = 7;
  return options;
}

TEST(TerminalPlot, DrawsAFallingLineFromUpperLeftToLowerRight) {
  const std::vector<std::string> lines = lines_of(plot_text({{"a", {{0, 4}, {10, 2}}}}, small()));
  ASSERT_EQ(lines.size(), 7U);
  EXPECT_EQ(lines[0], "loss");
  EXPECT_THAT(lines[1], HasSubstr("         4 │⠉"));  // both upper points of the first character
  EXPECT_THAT(lines[2], HasSubstr("           │ "));
  EXPECT_TRUE(lines[4].ends_with("⣀")) << lines[4];
  EXPECT_EQ(columns_of(lines[4]), 32);
  EXPECT_THAT(lines[6], HasSubstr("0"));
  EXPECT_TRUE(lines[6].ends_with("10")) << lines[6];
  EXPECT_THAT(lines[6], HasSubstr("tokens"));
}

TEST(TerminalPlot, SeveralCurvesWithoutColourAreLetters) {
  const std::string text = plot_text({{"small", {{0, 1}, {1, 1}}}, {"large", {{0, 2}, {1, 2}}}}, small());
  const std::vector<std::string> lines = lines_of(text);
  EXPECT_EQ(lines[0], "loss  a small  b large");
  EXPECT_TRUE(lines[1].ends_with(std::string(20, 'b'))) << lines[1];
  EXPECT_TRUE(lines[4].ends_with(std::string(20, 'a'))) << lines[4];
  EXPECT_THAT(text, Not(HasSubstr("\033")));
}

TEST(TerminalPlot, ColoursAreEscapesThatEnd) {
  PlotOptions options = small();
  options.color = true;
  const std::string text = plot_text({{"a", {{0, 1}}}, {"b", {{1, 2}}}}, options);
  EXPECT_THAT(text, HasSubstr("\033[34m"));
  EXPECT_THAT(text, HasSubstr("\033[31m"));
  EXPECT_THAT(text, HasSubstr("\033[0m"));
}

TEST(TerminalPlot, LeavesOutWhatHasNoPlace) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(plot_text({{"a", {{0, nan}}}}, small()), "loss: nothing to plot\n");
  EXPECT_EQ(plot_text({}, small()), "loss: nothing to plot\n");
  PlotOptions options = small();
  options.log_y = true;
  EXPECT_EQ(plot_text({{"a", {{1, 0}, {2, -1}}}}, options), "loss: nothing to plot\n");
  EXPECT_THAT(plot_text({{"a", {{1, 0}, {2, 100}, {3, 1}}}}, options), HasSubstr("       100 │"));
}

TEST(TerminalPlot, AConstantStandsInTheMiddle) {
  const std::vector<std::string> lines = lines_of(plot_text({{"a", {{0, 3}, {1, 3}}}}, small()));
  EXPECT_THAT(lines[2] + lines[3], HasSubstr("⣀⣀⣀"));
}

TEST(Sparkline, HasEightHeightsOfMeans) {
  EXPECT_EQ(sparkline({0, 1, 2, 3, 4, 5, 6, 7}, 8), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(sparkline({0, 0, 7, 7}, 2), "▁█");
  EXPECT_EQ(sparkline({5}, 10), "▅");
  EXPECT_EQ(sparkline({}, 10), "");
  EXPECT_EQ(sparkline({1, std::numeric_limits<double>::quiet_NaN(), 2}, 5), "▁█");
}

TEST(Fit, CountsCodePoints) {
  EXPECT_EQ(fit("größe", 3), "grö");
  EXPECT_EQ(fit("ö", 3), "ö  ");
  EXPECT_EQ(columns_of("▁█x"), 3);
}

}  // namespace
}  // namespace nexus
