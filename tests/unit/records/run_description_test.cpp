#include "records/run_description.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
  written.describe("small", "nexusformer", 7, "6n", "", {{"V", 100}});
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
