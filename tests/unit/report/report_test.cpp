#include "report/report.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "report/curves_json.h"
#include "report/html.h"
#include "report/pictures.h"
#include "report/table.h"
#include "support/synthetic_run.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using testing::Contains;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

// An environment variable for one test.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) { ::setenv(name, value.c_str(), 1); }
  ~Environment() { ::unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
};

// Unlike HasSubstr, does not print the page.
bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class ReportTest : public testing::Test {
 protected:
  ReportTest() {
    write_synthetic_run(grown_run("nexus grown", "nexusformer", 380.0), temp_ / "n");
    write_synthetic_run(grown_run("tokenformer grown", "tokenformer", 400.0), temp_ / "t");
    options_.summary.folders = {temp_ / "n", temp_ / "t"};
    options_.summary.bootstrap.draws = 200;
    options_.command = {"nexus", "report", "a b"};
  }
  TempFolder temp_;
  ReportOptions options_;
};

TEST_F(ReportTest, WritesTablesPageAndCurvesIntoTheFirstRunsFolder) {
  options_.pictures = false;
  const ReportResult result = write_report(options_);
  EXPECT_EQ(result.folder, temp_ / "n/report");
  EXPECT_THAT(read_text_file(temp_ / "n/report/tables.md"), HasSubstr("## Comparison"));
  EXPECT_THAT(read_text_file(temp_ / "n/report/tables.csv"), HasSubstr("scope,run,"));
  const std::string html = read_text_file(temp_ / "n/report/report.html");
  EXPECT_THAT(html, ContainsRegex("nexus grown needs .* less compute than tokenformer grown"));
  EXPECT_THAT(html, HasSubstr("Intervals hold the noise of evaluating on these windows and nothing else"));
  EXPECT_THAT(html, HasSubstr("nexus report &#39;a b&#39;"));
  EXPECT_THAT(html, Not(HasSubstr("<svg")));
  const auto curves = nlohmann::json::parse(read_text_file(temp_ / "n/report/curves.json"));
  EXPECT_EQ(curves["runs"].size(), 2u);
  EXPECT_EQ(curves["runs"][0]["evals"].size(), 13u);
  EXPECT_EQ(curves["baseline"], "tokenformer grown");
}

TEST_F(ReportTest, RunsOverDifferentTokensAreMarkedEverywhere) {
  SyntheticRun other = grown_run("nexus grown", "nexusformer", 380.0);
  other.valid_digest = other.tokenizer_digest = "other";
  write_synthetic_run(other, temp_ / "n");
  options_.out = temp_ / "out";
  const ReportResult result = write_report(options_);  // with pictures, where they can be drawn
  EXPECT_THAT(result.warnings, Contains(HasSubstr("different tokenizers")));
  const std::string html = read_text_file(temp_ / "out/report.html"), tables = read_text_file(temp_ / "out/tables.md");
  for (const std::string& text : {html, tables}) {
    EXPECT_TRUE(contains(text, "nexus grown against tokenformer grown: no saving is computed (other tokenizer)."));
    EXPECT_TRUE(contains(text, "none: other tokenizer"));
    EXPECT_TRUE(contains(text, "different tokenizers"));
    EXPECT_FALSE(contains(text, "less compute than"));
  }
  EXPECT_TRUE(contains(html, "does not compare with tokenformer grown: other tokenizer</span>")) << "on its card";
  EXPECT_THAT(read_text_file(temp_ / "out/tables.csv"),
              ContainsRegex("\nrun,nexus grown,.*,incomparable,other tokenizer\n"));
  const auto curves = nlohmann::json::parse(read_text_file(temp_ / "out/curves.json"));
  EXPECT_EQ(curves["runs"][0]["incomparable"], "other tokenizer");
  EXPECT_TRUE(curves["runs"][0]["saving"].is_null());
}

TEST_F(ReportTest, OneWindowShowsNoErrorAndNoIntervalAnywhere) {
  for (const char* folder : {"n", "t"}) {
    SyntheticRun run =
        grown_run(folder, *folder == 'n' ? "nexusformer" : "tokenformer", *folder == 'n' ? 380.0 : 400.0);
    run.windows = 1;
    run.loss_se = 0;
    write_synthetic_run(run, temp_ / folder);
  }
  options_.out = temp_ / "out";
  const ReportResult result = write_report(options_);
  EXPECT_EQ(result.warnings.size(), result.pictures.empty() ? 1u : 0u);  // the pictures cope
  const std::string html = read_text_file(temp_ / "out/report.html"), tables = read_text_file(temp_ / "out/tables.md");
  EXPECT_TRUE(contains(html, "(one validation window: no interval)"));
  EXPECT_TRUE(contains(tables, " % (no interval) |"));
  EXPECT_THAT(tables, Not(ContainsRegex("[0-9] ± [0-9]")));
  EXPECT_FALSE(contains(tables, "% ["));
  EXPECT_FALSE(contains(html, "Intervals hold"));
  const auto curves = nlohmann::json::parse(read_text_file(temp_ / "out/curves.json"));
  EXPECT_TRUE(curves["runs"][0]["saving"]["low"].is_null());
  EXPECT_TRUE(curves["runs"][0]["final"]["loss_se"].is_null());
}

TEST_F(ReportTest, DrawsEveryPictureIntoASelfContainedPage) {
  if (find_plot_python().empty()) GTEST_SKIP() << "no python3 with matplotlib";
  options_.out = temp_ / "out";
  const ReportResult result = write_report(options_);
  EXPECT_EQ(result.pictures.size(), all_pictures({}).size());
  const std::string html = read_text_file(temp_ / "out/report.html");
  for (const Picture& picture : all_pictures({})) {
    EXPECT_TRUE(path_exists(temp_ / ("out/" + picture.name + ".png"))) << picture.name;
    EXPECT_TRUE(contains(html, escape_html(picture.definition))) << picture.name;
  }
  EXPECT_TRUE(contains(html, "<svg role=\"img\""));
  for (const char* outside : {"src=\"", "<link", "@import", "href=\"http", "#1b1f24\"", "fill: #1b1f24"})
    EXPECT_FALSE(contains(html, outside)) << outside;
}

TEST_F(ReportTest, FiguresOfFurtherEvaluationsAreInTablesPageAndCurves) {
  options_.pictures = false;
  EXPECT_FALSE(contains(read_text_file(write_report(options_).folder + "/tables.md"), "Further evaluations"));
  EXPECT_FALSE(path_exists(temp_ / "n/report/figures.csv"));
  SyntheticRun run = grown_run("n", "nexusformer", 380.0);
  run.figure = "late_loss";
  write_synthetic_run(run, temp_ / "n");
  options_.pictures = true;
  const ReportResult result = write_report(options_);
  const StageFigure& figure = result.data.runs[0].stages.at(1).figures.at(0);
  EXPECT_EQ(figure.newest().name, "late_loss");
  EXPECT_NEAR(figure.last->figure.value, result.data.runs[0].stages[1].end->loss - 0.5, 1e-12);
  EXPECT_NEAR(figure.first->figure.value, result.data.runs[0].stages[1].after_growth->loss - 0.5, 1e-12);
  EXPECT_TRUE(result.data.runs[1].stages[0].figures.empty()) << "the other run has none";
  const std::string row = "| late_loss | nats/token | " + format_with_error(figure.first->figure.value, 0.01) + " | " +
                          format_with_error(figure.last->figure.value, 0.01) + " | 256 |";
  EXPECT_THAT(read_text_file(temp_ / "n/report/tables.md"), HasSubstr(row));
  EXPECT_THAT(read_text_file(temp_ / "n/report/figures.csv"), HasSubstr(",late_loss,nats/token,"));
  EXPECT_THAT(read_text_file(temp_ / "n/report/report.html"), HasSubstr("Further evaluations"));
  const auto curves = nlohmann::json::parse(read_text_file(temp_ / "n/report/curves.json"));
  EXPECT_EQ(curves["runs"][0]["evals"][0]["figures"][0]["name"], "late_loss");
  EXPECT_EQ(curves["runs"][0]["stages"][1]["figures"][0]["last"]["se"], 0.01);
  EXPECT_EQ(std::count(result.pictures.begin(), result.pictures.end(), "figures"), find_plot_python().empty() ? 0 : 1);
}

// Machine-readable keys apart: `tokens` in curves.json are positions of whatever unit.
TEST_F(ReportTest, OfAnotherWorkloadSpeaksOfNeitherTokensNorPerplexity) {
  write_synthetic_run(run_of_points(grown_run("grown", "nexusformer", 380.0)), temp_ / "n");
  write_synthetic_run(run_of_points(grown_run("rigid", "transformer", 400.0)), temp_ / "t");
  options_.out = temp_ / "out";
  const ReportResult result = write_report(options_);
  std::vector<std::string> files = {"report.html", "tables.md", "tables.csv", "figures.csv"};
  if (!find_plot_python().empty()) {
    EXPECT_THAT(result.pictures,
                testing::ElementsAre("loss_flops", "compute_saved", "loss_curves", "growth", "figures"));
    for (const std::string& name : result.pictures) files.push_back(name + ".svg");
  }
  for (const std::string& file : files)
    for (const char* word : {"token", "Token", "perplex", "Perplex", "ppl", "nat per", "nats", "window"})
      EXPECT_FALSE(contains(read_text_file(temp_ / ("out/" + file)), word)) << file << " says " << word;
  const std::string html = read_text_file(temp_ / "out/report.html"), tables = read_text_file(temp_ / "out/tables.md");
  EXPECT_THAT(findings(result.data).front(),
              ContainsRegex("grown needs .* less compute than rigid to reach loss [0-9.]+"));
  const Score& last = *result.data.runs[0].final_score;
  EXPECT_EQ(last.value, last.loss);
  EXPECT_TRUE(contains(html, "<b>loss " + format_with_error(last.loss, 0.01) + "</b>"));
  EXPECT_TRUE(contains(tables, "Loss is the mean loss in squared error on the validation samples;"));
  EXPECT_TRUE(contains(tables, "| points | FLOPs | rank time | final loss | target loss |"));
  EXPECT_TRUE(contains(tables, "| grown | s440 | r2 |  | "));
  EXPECT_THAT(read_text_file(temp_ / "out/tables.csv"),
              HasSubstr(",steps,points,flops,flops_def,total_flops,inherited_flops,seconds,rank_seconds,loss,loss_se,"
                        "loss_before_growth,loss_before_growth_se,loss_after_growth,"));
  const auto curves = nlohmann::json::parse(read_text_file(temp_ / "out/curves.json"));
  EXPECT_EQ(curves["workload"]["unit"], "points");
  EXPECT_EQ(curves["runs"][0]["saving"]["target_loss"], result.data.runs[0].saving->target_loss);
  EXPECT_EQ(curves["runs"][0]["final"], (nlohmann::json{{"loss", last.loss}, {"loss_se", 0.01}, {"other", nullptr}}));
}

TEST_F(ReportTest, OfARunFolderWithoutWordsIsThatOfText) {
  options_.pictures = false;
  options_.out = temp_ / "out";
  write_report(options_);
  const std::string tables = read_text_file(temp_ / "out/tables.md"), csv = read_text_file(temp_ / "out/tables.csv");
  auto description = nlohmann::json::parse(read_text_file(temp_ / "n/run.json"));
  ASSERT_EQ(description.erase("workload"), 1u);
  write_file_durably(temp_ / "n/run.json", description.dump());
  write_report(options_);
  EXPECT_EQ(read_text_file(temp_ / "out/tables.md"), tables);
  EXPECT_EQ(read_text_file(temp_ / "out/tables.csv"), csv);
}

TEST_F(ReportTest, WithoutMatplotlibTheTablesStayAndAWarningSaysSo) {
  const Environment none("NEXUS_PYTHON", "/no/such/python3");
  const ReportResult result = write_report(options_);
  EXPECT_TRUE(result.pictures.empty());
  EXPECT_THAT(result.warnings, Contains(HasSubstr("python3-matplotlib")));
  EXPECT_THAT(read_text_file(temp_ / "n/report/report.html"), HasSubstr("python3-matplotlib"));
}

TEST_F(ReportTest, AScriptThatFailsCostsItsPictureOnly) {
  const std::string python = find_plot_python();
  if (python.empty()) GTEST_SKIP() << "no python3 with matplotlib";
  make_folders(temp_ / "analysis");
  for (const Picture& picture : all_pictures({}))
    write_file_durably(temp_ / ("analysis/plot_" + picture.name + ".py"), "raise SystemExit(3)\n");
  write_file_durably(temp_ / "analysis/plot_growth.py",
                     "import sys\nopen(sys.argv[3] + '/growth.svg', 'w').write('<svg><!--drawn--></svg>')\n");
  const Environment scripts("NEXUS_ANALYSIS_DIR", temp_ / "analysis");
  const ReportResult result = write_report(options_);
  EXPECT_EQ(result.pictures, std::vector<std::string>{"growth"});
  EXPECT_EQ(result.warnings.size(), all_pictures({}).size() - 1);
  EXPECT_THAT(read_text_file(temp_ / "n/report/report.html"), HasSubstr("<!--drawn-->"));
}

TEST_F(ReportTest, APictureOfAnOlderReportIsNotShownForANewOne) {
  const std::string python = find_plot_python();
  if (python.empty()) GTEST_SKIP() << "no python3 with matplotlib";
  make_folders(temp_ / "out");
  make_folders(temp_ / "analysis");
  for (const Picture& picture : all_pictures({}))
    write_file_durably(temp_ / ("analysis/plot_" + picture.name + ".py"), "");
  write_file_durably(temp_ / "out/growth.svg", "<svg>old</svg>");
  options_.out = temp_ / "out";
  const Environment scripts("NEXUS_ANALYSIS_DIR", temp_ / "analysis");
  EXPECT_TRUE(write_report(options_).pictures.empty());
  EXPECT_FALSE(path_exists(temp_ / "out/growth.svg"));
}

TEST_F(ReportTest, TrainingLossIsThinnedWithoutMixingStages) {
  const ReportData data = summarise(options_.summary);
  const auto train = curves_json(data, /*max_points=*/30)["runs"][0]["train"];
  ASSERT_EQ(train.size(), 2u * 25u);  // 100 steps of each stage in buckets of 4
  EXPECT_EQ(train[24]["stage_index"], 0);
  EXPECT_EQ(train[25]["stage_index"], 1);
  double sum = 0;
  for (size_t i = 0; i < 4; ++i) sum += data.histories[0].steps[i].loss;
  EXPECT_DOUBLE_EQ(train[0]["loss"].get<double>(), sum / 4);
  EXPECT_LE(train[0]["loss_low"].get<double>(), train[0]["loss"].get<double>());
  EXPECT_GE(train[0]["loss_high"].get<double>(), train[0]["loss"].get<double>());
}

}  // namespace
}  // namespace nexus
