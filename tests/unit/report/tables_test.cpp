#include "report/tables.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>

#include "support/synthetic_run.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using testing::HasSubstr;
using testing::Not;

ReportData two_runs(const std::string& name = "nexus") {
  const TempFolder temp;
  write_synthetic_run(grown_run(name, "nexusformer", 380.0), temp / "n");
  write_synthetic_run(grown_run("token", "tokenformer", 400.0), temp / "t");
  SummaryOptions options;
  options.folders = {temp / "n", temp / "t"};
  options.bootstrap.draws = 200;
  return summarise(options);
}

TEST(Format, AnErrorDecidesTheDecimals) {
  EXPECT_EQ(format_with_error(16.4812, 0.123), "16.48 ± 0.12");
  EXPECT_EQ(format_with_error(16.4812, 0.0123), "16.481 ± 0.012");
  EXPECT_EQ(format_with_error(164.4, 12.0), "164 ± 12");
  EXPECT_EQ(format_with_error(16.4812, 0.0), "16.48");
  EXPECT_EQ(format_with_error(16.4812, std::numeric_limits<double>::quiet_NaN()), "16.48");
}

TEST(Format, FlopsAreShort) {
  EXPECT_EQ(format_flops(7.314e17), "7.31e17");
  EXPECT_EQ(format_flops(0), "0");
}

TEST(Format, ASavingCarriesItsIntervalOrItsReason) {
  Saving saving;
  saving.kind = Saving::Kind::kExact;
  saving.saved = 0.3821;
  saving.low = 0.351;
  saving.high = 0.409;
  EXPECT_EQ(format_saving(saving), "38.2 % [35.1, 40.9]");
  saving.low = -std::numeric_limits<double>::infinity();
  EXPECT_EQ(format_saving(saving), "38.2 % [–, 40.9]");
  saving.kind = Saving::Kind::kAtLeast;
  EXPECT_THAT(format_saving(saving), HasSubstr("≥ 38.2 %"));
  saving.low = saving.high = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(format_saving(saving), "≥ 38.2 % (no interval) (baseline: not reached)");
  saving.kind = Saving::Kind::kExact;
  EXPECT_EQ(format_saving(saving), "38.2 % (no interval)");
  saving.kind = Saving::Kind::kUndetermined;
  saving.reason = "not reached";
  EXPECT_EQ(format_saving(saving), "not reached");
}

TEST(Escape, KeepsForeignTextFromBecomingMarkup) {
  EXPECT_EQ(escape_html("<a href='x'>&\""), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
  EXPECT_EQ(escape_csv("plain"), "plain");
  EXPECT_EQ(escape_csv("a,\"b\""), "\"a,\"\"b\"\"\"");
}

TEST(Tables, EveryRowAndEveryUncertaintyIsThere) {
  const ReportData data = two_runs();
  const Table stages = stage_table(data), comparison = comparison_table(data);
  EXPECT_EQ(stages.rows.size(), 4u);
  EXPECT_EQ(comparison.rows.size(), 2u);
  EXPECT_THAT(comparison.rows[0].back(), HasSubstr("% ["));
  EXPECT_EQ(comparison.rows[1].back(), "baseline");
  EXPECT_THAT(stages.rows[1][9], HasSubstr("±"));
  const Table growth = growth_table(data);
  ASSERT_EQ(growth.rows.size(), 2u);
  EXPECT_EQ(growth.rows[0][1], "s240 → s440");
  EXPECT_EQ(growth.rows[0][5], "1.5e-06");
  EXPECT_EQ(growth.rows[0][8], "0 of 200.1M");
  EXPECT_THAT(stages.definition, HasSubstr("gemm_causal"));
  EXPECT_THAT(comparison.definition, HasSubstr("95 % of 200 bootstrap draws"));
}

TEST(Tables, MarkdownRowsHaveOneCellPerColumnWhateverTheNames) {
  const std::string text = to_markdown(comparison_table(two_runs("a|b")));
  EXPECT_THAT(text, HasSubstr("| a\\|b | nexusformer |"));
  EXPECT_THAT(text, HasSubstr("|---|---|---|---:|"));
}

TEST(Tables, HtmlEscapesNames) {
  const std::string text = to_html(stage_table(two_runs("<script>")));
  EXPECT_THAT(text, HasSubstr("&lt;script&gt;"));
  EXPECT_THAT(text, Not(HasSubstr("<script>")));
}

void expect_rectangular(const ReportData& data) {
  const std::string csv = to_csv(data);
  size_t lines = 0, columns = 0;
  for (size_t begin = 0; begin < csv.size(); ++lines) {
    const size_t end = csv.find('\n', begin);
    const auto commas = static_cast<size_t>(std::count(csv.begin() + static_cast<std::ptrdiff_t>(begin),
                                                       csv.begin() + static_cast<std::ptrdiff_t>(end), ','));
    if (lines == 0) columns = commas;
    EXPECT_EQ(commas, columns) << csv.substr(begin, end - begin);
    begin = end + 1;
  }
  EXPECT_EQ(lines, 1u + 4u + 2u);  // header, stages, runs
}

TEST(Tables, CsvIsRectangularWithAndWithoutPerplexity) {
  ReportData data = two_runs();
  expect_rectangular(data);
  data.words.headline = WorkloadWords::kLoss;
  expect_rectangular(data);
}

TEST(Tables, AStageWithoutACommitShowsNoAccount) {
  ReportData data = two_runs();
  data.runs[0].stages[1].committed = false;
  EXPECT_EQ(stage_table(data).rows[1][5], "–");
  EXPECT_THAT(to_csv(data), HasSubstr("stage,nexus,nexusformer,s440,439600000,,100,,,gemm_causal,,,,,"));
}

}  // namespace
}  // namespace nexus
