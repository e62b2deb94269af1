#include "train/earlier_records.h"

#include "core/files.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

TEST(EarlierRecords, AreMovedAndNeverOverwritten) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  for (const char* text : {"first\n", "second\n"}) {
    write_file_durably(run.metrics(), text);
    make_folders(run.root + "/evals/s0");
    set_aside(run, {run.metrics(), run.ledger(), run.root + "/evals"});
    EXPECT_FALSE(path_exists(run.metrics()) || path_exists(run.root + "/evals"));
  }
  EXPECT_EQ(read_text_file(earlier_folder(run) + "/1/metrics.jsonl"), "first\n");
  EXPECT_EQ(read_text_file(earlier_folder(run) + "/2/metrics.jsonl"), "second\n");
  EXPECT_TRUE(path_exists(earlier_folder(run) + "/2/evals/s0"));
}

TEST(EarlierRecords, NothingIsMadeWhereThereIsNothingToMove) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  write_file_durably(run.metrics(), "");
  EXPECT_EQ(set_aside(run, {run.metrics(), run.ledger()}), "");
  EXPECT_FALSE(path_exists(earlier_folder(run)));
}

}  // namespace
}  // namespace nexus
