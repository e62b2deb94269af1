#include "records/run_description.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/files.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

LaunchFacts launch(int64_t generation, const std::string& grid) {
  LaunchFacts facts;
  facts.version = "1";
  facts.grid = grid;
  facts.mark = {generation, {"345", 1}};
  return facts;
}

TEST(RunDescription, ComesBackAsItWasWritten) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  EXPECT_FALSE(RunDescription::read(run));
  RunDescription written("the id");
  written.describe("small", {}, "nexusformer", 7, "6n", "", {{"V", 100}});
  EXPECT_THAT(written.add_launch(launch(2, "dp 1 tp 1")), IsEmpty());
  written.write(run);
  const RunDescription read = RunDescription::read(run).value();
  EXPECT_TRUE(read.is_complete());
  EXPECT_EQ(read.run_id(), "the id");
  EXPECT_EQ(read.name(), "small");
  EXPECT_EQ(read.arch(), "nexusformer");
  EXPECT_EQ(read.flops_def(), "6n");
  EXPECT_EQ(read.highest_generation(), 2);
  EXPECT_EQ(read.document()["seed"], 7);
  EXPECT_EQ(read.document()["data"]["V"], 100);
  EXPECT_EQ(read.document()["launches"][0]["job"], "345");
}

TEST(RunDescription, SaysWhatTheWorkloadCountsAndMeasures) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  const WorkloadWords words{"point_sets", "points", "pt", "sets", "squared error", WorkloadWords::kLoss};
  RunDescription written("the id");
  written.describe("small", words, "nexusformer", 7, "6n", "", {});
  written.write(run);
  const WorkloadWords read = RunDescription::read(run).value().words();
  EXPECT_EQ(to_json(read), to_json(words));
  EXPECT_EQ(read.loss_unit, "squared error");
  EXPECT_FALSE(read.has_perplexity());
}

TEST(RunDescription, OfANexusThatKnewTextOnlyIsOfText) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  write_file_durably(run.run_json(), R"({"run_id":"x","launches":[]})");
  EXPECT_EQ(to_json(RunDescription::read(run).value().words()),
            nlohmann::json::parse(R"({"name":"text","unit":"tokens","short_unit":"tok","samples":"windows",
                                      "loss_unit":"nats/token","headline":"perplexity"})"));
}

TEST(RunDescription, WhoseWordsAreMalformedIsRefusedWhereTheyAreNeeded) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  for (const char* words : {"1", R"({"name":"text"})", R"({"name":7})"}) {
    write_file_durably(run.run_json(), fmt::format(R"({{"run_id":"x","launches":[],"workload":{}}})", words));
    const RunDescription description = RunDescription::read(run).value();
    EXPECT_TRUE(description.is_complete());
    EXPECT_NEXUS_ERROR(description.words(), ErrorKind::kData, HasSubstr(run.run_json()));
  }
}

TEST(WorkloadWords, OfTextMakeThePhrasesThatReportsHaveAlwaysHad) {
  const WorkloadWords text;
  EXPECT_EQ(text.symbol(), "ppl");
  EXPECT_DOUBLE_EQ(text.value(std::log(20.0)), 20.0);
  EXPECT_NEAR(text.error(std::log(20.0), 0.01), 0.2, 1e-12);  // one exp and one log: a few ulp of 20
  EXPECT_EQ(text.one_unit(), "token");
  EXPECT_EQ(text.one_sample(), "window");
  EXPECT_EQ(text.loss_unit_in_words(), "nats per token");
  EXPECT_EQ(text.loss_thousandths(), "thousandths of a nat");
  EXPECT_EQ(text.loss_text(0.00001234), "0.0000");
}

TEST(WorkloadWords, WithoutPerplexityTheHeadlineIsTheLossOfWhateverSize) {
  WorkloadWords points;
  points.loss_unit = "squared error";
  points.headline = WorkloadWords::kLoss;
  EXPECT_EQ(points.symbol(), "loss");
  EXPECT_EQ(points.value(1.5), 1.5);
  EXPECT_EQ(points.error(1.5, 0.25), 0.25);
  EXPECT_EQ(points.loss_unit_in_words(), "squared error");
  EXPECT_EQ(points.loss_thousandths(), "thousandths of a squared error");
  EXPECT_EQ(points.loss_text(0.00001234), "1.234e-05");
  nlohmann::json later = to_json(points);
  later["headline"] = "what a later nexus makes of the loss";
  EXPECT_EQ(words_from_json({later, "run.json"}).headline, "loss");
}

TEST(WorkloadWords, ThatNameAnotherWorkloadUnitOrLossDoNotCompare) {
  const WorkloadWords text;
  EXPECT_TRUE(text.measures_as({}));
  WorkloadWords shorter;
  shorter.short_unit = "t";
  EXPECT_TRUE(text.measures_as(shorter)) << "a way of writing";
  for (std::string WorkloadWords::*word :
       {&WorkloadWords::name, &WorkloadWords::unit, &WorkloadWords::loss_unit, &WorkloadWords::headline}) {
    WorkloadWords other;
    other.*word = "other";
    EXPECT_FALSE(text.measures_as(other));
  }
}

TEST(RunDescription, KeepsWhatItDoesNotKnow) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  write_file_durably(run.run_json(), R"({"run_id":"x","note":"mine","launches":[{"grid":"dp 1 tp 1","of":"old"}]})");
  RunDescription description = RunDescription::read(run).value();
  EXPECT_EQ(description.highest_generation(), 0);
  const auto differences = description.add_launch(launch(3, "dp 2 tp 1"));
  EXPECT_THAT(differences, testing::Contains("grid (\"dp 2 tp 1\", was \"dp 1 tp 1\")"));
  EXPECT_THAT(differences, testing::Contains("version (\"1\", was null)"));
  description.write(run);
  const auto document = nlohmann::json::parse(read_text_file(run.run_json()));
  EXPECT_EQ(document["note"], "mine");
  EXPECT_EQ(document["launches"][0], (nlohmann::json{{"grid", "dp 1 tp 1"}, {"of", "old"}}));
}

TEST(RunDescription, ThatIsMalformedIsRefused) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  write_file_durably(run.run_json(), "[1, 2");
  EXPECT_NEXUS_ERROR(RunDescription::read(run), ErrorKind::kData, HasSubstr("run.json"));
  for (const char* text :
       {"{}", R"({"run_id":"x"})", R"({"run_id":7,"launches":[]})", R"({"run_id":"x","launches":1})"}) {
    write_file_durably(run.run_json(), text);
    EXPECT_FALSE(RunDescription::read(run).value().is_complete()) << text;
    EXPECT_EQ(RunDescription::read(run).value().highest_generation(), 0);
  }
}

}  // namespace
}  // namespace nexus
