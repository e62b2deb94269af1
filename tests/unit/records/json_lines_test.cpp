#include "records/json_lines.h"

#include <gmock/gmock.h>

#include <cmath>

#include "core/files.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

std::vector<JsonRecord> records_of(const std::string& content) {
  const TempFolder temp;
  write_file_durably(temp / "rows.jsonl", content);
  return read_json_lines(temp / "rows.jsonl");
}

std::string step(int stage_index, int step) {
  return R"({"kind":"step","stage_index":)" + std::to_string(stage_index) + R"(,"step":)" + std::to_string(step) +
         "}\n";
}

std::string resume(int stage_index, int step) {
  return R"({"kind":"resume","stage_index":)" + std::to_string(stage_index) + R"(,"step":)" + std::to_string(step) +
         "}\n";
}

// Surviving steps as stage * 100 + step.
std::vector<int64_t> survivors(const std::string& content) {
  std::vector<int64_t> result;
  for (const JsonRecord& record : apply_resumes(records_of(content)))
    result.push_back(record.count("stage_index") * 100 + (record.has("step") ? record.count("step") : 0));
  return result;
}

TEST(JsonLines, AMissingFileHasNoRecords) {
  EXPECT_TRUE(read_json_lines(TempFolder() / "none.jsonl").empty());
}

TEST(JsonLines, ResumeDropsEarlierRowsAfterTheRestoredStep) {
  EXPECT_THAT(survivors(step(0, 1) + step(0, 2) + step(0, 3) + resume(0, 1) + step(0, 2)), ElementsAre(1, 2));
}

TEST(JsonLines, EveryResumeActsOnWhatTheOnesBeforeItLeft) {
  const std::string lines = step(0, 1) + step(0, 2) + step(0, 3) + resume(0, 2) + step(0, 3) + step(0, 4) +
                            resume(0, 3) + step(0, 4) + resume(0, 1) + step(0, 2);
  EXPECT_THAT(survivors(lines), ElementsAre(1, 2));
}

TEST(JsonLines, ResumeIntoAnEarlierStageDropsTheLaterStagesRecords) {
  const std::string later = R"({"kind":"stage","stage_index":1})"
                            "\n" +
                            step(1, 1) + step(1, 2);
  EXPECT_THAT(survivors(step(0, 1) + step(0, 2) + later + resume(0, 2) + step(1, 1)), ElementsAre(1, 2, 101));
}

TEST(JsonLines, ResumeAtAStagesBeginningKeepsItsStageRecordAndDropsItsSteps) {
  const std::string begin = R"({"kind":"stage","stage_index":1})"
                            "\n";
  EXPECT_THAT(survivors(step(0, 9) + begin + step(1, 1) + resume(1, 0)), ElementsAre(9, 100));
}

TEST(JsonLines, ResumeTakesBackDoneBecauseTheCampaignGoesOn) {
  const std::string done = R"({"kind":"done"})"
                           "\n";
  EXPECT_THAT(survivors(step(0, 1) + done + resume(0, 1)), ElementsAre(1));
}

TEST(JsonLines, ALastLineCutShortByAKillIsSkipped) {
  EXPECT_THAT(survivors(step(0, 1) + R"({"kind":"step","stage_in)"), ElementsAre(1));
}

TEST(JsonLines, ALastLineThatOnlyLacksItsNewlineCounts) {
  std::string last = step(0, 2);
  last.pop_back();
  EXPECT_THAT(survivors(step(0, 1) + last), ElementsAre(1, 2));
}

TEST(JsonLines, ALineCutShortBeforeAResumeIsSkipped) {
  EXPECT_THAT(survivors(step(0, 1) + "{\"kind\":\"st\n" + resume(0, 1) + step(0, 2)), ElementsAre(1, 2));
}

TEST(JsonLines, AMalformedLineInTheMiddleIsRefusedWithFileAndLine) {
  EXPECT_NEXUS_ERROR(records_of(step(0, 1) + "{\"kind\":\"st\n" + step(0, 2)), ErrorKind::kData,
                     HasSubstr("rows.jsonl:2"));
}

TEST(JsonLines, AMalformedLastLineWithItsNewlineIsRefused) {
  EXPECT_NEXUS_ERROR(records_of(step(0, 1) + "garbage\n"), ErrorKind::kData, HasSubstr("rows.jsonl:2"));
}

TEST(JsonLines, ARecordWithoutAKindIsRefused) {
  EXPECT_NEXUS_ERROR(records_of("{\"a\":1}\n" + step(0, 1)), ErrorKind::kData, HasSubstr("rows.jsonl:1"));
}

TEST(JsonLines, ABadFieldIsRefusedWithItsNameAndPlace) {
  const JsonRecord record({{"kind", "step"}, {"loss", "high"}, {"step", -1.5}, {"list", {1}}}, "eval.jsonl:7");
  EXPECT_NEXUS_ERROR(record.number("loss"), ErrorKind::kData, HasSubstr("'loss': it is no number; eval.jsonl:7"));
  EXPECT_NEXUS_ERROR(record.count("step"), ErrorKind::kData, HasSubstr("'step'"));
  EXPECT_NEXUS_ERROR(record.texts("list"), ErrorKind::kData, HasSubstr("'list'"));
  EXPECT_NEXUS_ERROR(record.text("stage"), ErrorKind::kData, HasSubstr("'stage': it is missing"));
}

TEST(JsonLines, ANullNumberIsNaN) {
  EXPECT_TRUE(std::isnan(JsonRecord({{"kind", "step"}, {"loss", nullptr}}, "x:1").number("loss")));
}

// --- readers of what a launch may just be writing

TEST(RecordsFrom, AnOffsetLeaveTornLinesOut) {
  const TempFolder folder;
  const std::string first = step(0, 1), path = folder / "m";
  write_file_durably(path, first + step(0, 2) + "torn\n{\"kind\":3}\n" + step(0, 3) + "{\"kind\":\"st");
  EXPECT_THAT(records_from(path, 0), SizeIs(3));
  EXPECT_THAT(records_from(path, static_cast<int64_t>(first.size())), SizeIs(2));
  EXPECT_THAT(records_from(path, static_cast<int64_t>(first.size()) - 3), SizeIs(2));
  EXPECT_THAT(records_from(path, 1 << 20), SizeIs(3));  // the file was begun anew
  EXPECT_THAT(records_from(folder / "none", 0), SizeIs(0));
}

TEST(ForEachRecord, LeavesOutWhatIsNoRecordOfOursAndStopsWhenTold) {
  const TempFolder folder;
  const std::string path = folder / "m";
  write_file_durably(path, "[1]\n" + step(0, 1) + R"({"kind":"step","stage_index":"a"})" + "\n" +
                               R"({"kind":"step","generation":1.5})" + "\n" + R"({"kind":"step","stage":7})" + "\n" +
                               R"({"kind":"begin"})" + "\n" + step(1, 2));
  std::vector<Position> seen;
  for_each_record(path, [&](const JsonRecord& record) {
    seen.push_back(record.position());
    return true;
  });
  EXPECT_THAT(seen, ElementsAre(Position{0, 1}, Position{0, 0}, Position{1, 2}));
  int count = 0;
  for_each_record(path, [&](const JsonRecord&) { return ++count < 2; });
  EXPECT_EQ(count, 2);
  EXPECT_NO_THROW(for_each_record(folder / "none", [](const JsonRecord&) { return true; }));
}

JsonRecord ledger_row(const std::string& kind, int64_t step, int64_t generation) {
  return {{{"kind", kind}, {"stage_index", 0}, {"step", step}, {"generation", generation}}, ""};
}

TEST(Ownership, EndsWithTheBeginningOfANewerLaunch) {
  Ownership ownership;
  EXPECT_TRUE(ownership.counts(ledger_row("begin", 0, 1)));
  EXPECT_TRUE(ownership.counts(ledger_row("resume", 3, 2)));
  EXPECT_FALSE(ownership.counts(ledger_row("commit", 9, 1)));
  EXPECT_TRUE(ownership.counts({{{"kind", "commit"}}, ""})) << "it does not say whose it is";
  EXPECT_EQ(ownership.owner(), 2);
}

TEST(Lineage, OnlyAResumeMayGoBack) {
  std::vector<JsonRecord> ledger = {ledger_row("commit", 5, 1), ledger_row("commit", 10, 1), ledger_row("resume", 5, 2),
                                    ledger_row("commit", 5, 2), ledger_row("commit", 8, 2)};
  EXPECT_EQ(lineage_fault(ledger), "");
  ledger.push_back(ledger_row("commit", 6, 2));
  EXPECT_THAT(lineage_fault(ledger), HasSubstr("step 6 was committed after"));
  ledger.back() = ledger_row("commit", 12, 1);
  EXPECT_THAT(lineage_fault(ledger), HasSubstr("generation 1 wrote after generation 2"));
}

}  // namespace
}  // namespace nexus
