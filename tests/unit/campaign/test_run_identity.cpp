#include <gtest/gtest.h>

#include <filesystem>

#include "campaign/run_identity.h"
#include "core/files.h"
#include "support/commit_state.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

TEST(RunIdentity, IsMadeOnceAndStays) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  const std::string id = identify_run(run);
  EXPECT_EQ(id.size(), 32u);
  EXPECT_EQ(identify_run(run), id);
  const TempFolder other;
  EXPECT_NE(identify_run(RunFolder{other.path()}), id);
}

TEST(RunIdentity, IsTakenFromTheCheckpointsWhereRunJsonIsGone) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  commit_state(folder.path(), 0, 3);
  EXPECT_EQ(identify_run(run), "run");  // as commit_small says
  EXPECT_EQ(nlohmann::json::parse(read_text_file(run.run_json()))["run_id"], "run");
}

TEST(RunIdentity, IsNeitherTakenFromADamagedCheckpointNorMadeBesideOne) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  const std::string older = commit_state(folder.path(), 0, 3), newer = commit_state(folder.path(), 0, 4);
  write_file_durably(newer + "/MANIFEST.json", "{");
  EXPECT_EQ(identify_run(run), "run");
  std::filesystem::remove(run.run_json());
  write_file_durably(older + "/MANIFEST.json", "{");
  EXPECT_NEXUS_ERROR(identify_run(run), ErrorKind::kCheckpoint, ::testing::HasSubstr("run.json is gone"));
  EXPECT_FALSE(path_exists(run.run_json()));
}

TEST(RunIdentity, IsNotMadeAnewWhereItCannotBeLookedFor) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  std::filesystem::create_symlink("run.json", run.run_json());
  EXPECT_NEXUS_ERROR(identify_run(run), ErrorKind::kIo, ::testing::HasSubstr("run.json"));
}

TEST(RunIdentity, RefusesARunJsonThatIsNotOurs) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  write_file_durably(run.run_json(), "[1, 2");
  EXPECT_NEXUS_ERROR(identify_run(run), ErrorKind::kData, ::testing::HasSubstr("run.json"));
}

TEST(RunIdentity, KeepsEveryLaunchAndTheConfigurationOfTheLast) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  identify_run(run);
  const auto backend = make_cpu_backend();
  CampaignInput input;
  input.spec.name = "test";
  input.file_text = "name: test";
  input.resolved_yaml = "name: test  # resolved";
  record_launch(run, input, {}, *backend, "dp 1 tp 1", {1, "", 0});
  record_launch(run, input, {}, *backend, "dp 1 tp 2 sequence", {2, "345", 1});
  const auto document = nlohmann::json::parse(read_text_file(run.run_json()));
  ASSERT_EQ(document["launches"].size(), 2u);
  EXPECT_EQ(document["launches"][1]["grid"], "dp 1 tp 2 sequence");
  EXPECT_EQ(document["launches"][1]["job"], "345");
  EXPECT_EQ(document["launches"][1]["generation"], 2);
  EXPECT_EQ(document["name"], "test");
  EXPECT_EQ(read_text_file(run.config()), input.file_text);
  EXPECT_EQ(read_text_file(run.resolved_config()), input.resolved_yaml);
}

}  // namespace
}  // namespace nexus
