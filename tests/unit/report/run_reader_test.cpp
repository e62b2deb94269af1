#include "report/run_reader.h"

#include <gmock/gmock.h>

#include "core/files.h"
#include "support/expect_error.h"
#include "support/synthetic_run.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using testing::HasSubstr;

// A finished campaign in two stages, in a folder of its own.
class GrownRun {
 public:
  GrownRun() { write_synthetic_run(grown_run("campaign", "nexusformer", 400.0), folder()); }
  std::string folder() const { return temp_ / "run"; }
  RunHistory read() const { return read_run(folder()); }

 private:
  TempFolder temp_;
};

TEST(RunReader, ReadsEveryRecordOfACampaign) {
  const RunHistory run = GrownRun().read();
  EXPECT_EQ(run.name, "campaign");
  EXPECT_EQ(run.arch, "nexusformer");
  EXPECT_EQ(run.status, "done");
  EXPECT_TRUE(run.done);
  EXPECT_EQ(run.steps.size(), 200u);
  EXPECT_EQ(run.stages.size(), 2u);
  EXPECT_EQ(run.growths.size(), 1u);
  EXPECT_EQ(run.commits.size(), 2u);
  EXPECT_EQ(run.evals.size(), 1u + 5u + 2u + 5u);  // start, five per stage, before and after growth
  EXPECT_EQ(run.growth_into(1)->params_after, 439'600'000);
  EXPECT_EQ(run.growth_into(0), nullptr);
}

TEST(RunReader, FindsTheEvaluationsAroundAGrowthWhicheverStageTheyAreWrittenUnder) {
  RunHistory run = GrownRun().read();
  ASSERT_NE(run.growth_eval(1, "before_growth"), nullptr);
  EXPECT_EQ(run.growth_eval(1, "before_growth")->step, 0);
  EXPECT_EQ(run.growth_eval(0, "before_growth"), nullptr);
  for (EvalRecord& row : run.evals)
    if (row.event == "before_growth") {
      row.stage_index = 0;  // the same evaluation, written as the old stage's last
      row.step = 100;
    }
  ASSERT_NE(run.growth_eval(1, "before_growth"), nullptr);
  EXPECT_EQ(run.growth_eval(1, "before_growth")->step, 100);
}

TEST(RunReader, TheLastEvaluationOfAStageIsItsOwnAndNotTheGrowths) {
  const RunHistory run = GrownRun().read();
  EXPECT_EQ(run.last_eval(0)->event, "end");
  EXPECT_EQ(run.last_eval(1)->event, "end");
  EXPECT_EQ(run.last_eval(1)->stage, "s440");
  EXPECT_EQ(run.last_eval(2), nullptr);
}

TEST(RunReader, AppliesResumesToAllThreeFiles) {
  const GrownRun files;
  const std::string resume = R"({"kind":"resume","stage":"s240","stage_index":0,"step":60,"time":1})";
  for (const char* file : {"metrics.jsonl", "eval.jsonl", "ledger.jsonl"})
    append_line(files.folder() + "/" + file, resume);
  const RunHistory run = files.read();
  EXPECT_EQ(run.steps.size(), 60u);
  EXPECT_EQ(run.evals.back().step, 60);
  EXPECT_EQ(run.stages.size(), 1u);
  EXPECT_TRUE(run.growths.empty());
  EXPECT_TRUE(run.commits.empty());  // the only commit of the stage stood at step 100
  EXPECT_FALSE(run.done);
}

TEST(RunReader, ARunThatGoesOnAfterItWasDoneIsNotDone) {
  const GrownRun files;
  ASSERT_TRUE(files.read().done);
  // At the place where it was done: its last stage is lengthened, or another one is appended.
  append_line(files.folder() + "/ledger.jsonl",
              R"({"kind":"resume","stage":"s440","stage_index":9,"step":999,"time":1})");
  EXPECT_FALSE(files.read().done);
  append_line(files.folder() + "/ledger.jsonl",
              R"({"kind":"done","stage":"s440","stage_index":9,"step":999,"time":1})");
  EXPECT_TRUE(files.read().done);
}

TEST(RunReader, AStageThatIsWrittenTwiceCountsOnce) {
  const GrownRun files;
  const std::string path = files.folder() + "/ledger.jsonl", ledger = read_text_file(path);
  append_line(path, ledger.substr(0, ledger.find('\n')));
  EXPECT_EQ(files.read().stages.size(), 2u);
}

TEST(RunReader, AFolderThatIsNoRunIsRefused) {
  const TempFolder temp;
  EXPECT_NEXUS_ERROR(read_run(temp.path()), ErrorKind::kData, HasSubstr("no run folder"));
}

TEST(RunReader, AMalformedRunJsonIsRefused) {
  const TempFolder temp;
  write_file_durably(temp / "run.json", "[1, 2");
  EXPECT_NEXUS_ERROR(read_run(temp.path()), ErrorKind::kData, HasSubstr("run.json"));
}

TEST(RunReader, ARecordThatLacksAFieldIsRefusedWithFileAndLine) {
  const GrownRun files;
  append_line(files.folder() + "/ledger.jsonl", R"({"kind":"commit","stage":"s440","stage_index":1})");
  EXPECT_NEXUS_ERROR(files.read(), ErrorKind::kData, HasSubstr("ledger.jsonl:7"));
}

TEST(RunReader, ARunThatHasOnlyBegunHasNoRowsAndItsFoldersName) {
  const TempFolder temp;
  make_folders(temp / "begun");
  write_file_durably(temp / "begun/run.json", "{}");
  const RunHistory run = read_run(temp / "begun/");
  EXPECT_EQ(run.name, "begun");
  EXPECT_TRUE(run.steps.empty());
  EXPECT_FALSE(run.done);
}

}  // namespace
}  // namespace nexus
