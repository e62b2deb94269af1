#include "core/log.h"

#include "core/files.h"
#include "support/expect_error.h"
#include "support/printed.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using testing::Printed;
using testing::printed_by;

const std::string kClock = "[0-9]{2}:[0-9]{2}:[0-9]{2}";

// Each test starts and ends as rank 0 without a log file.
class Log : public ::testing::Test {
 protected:
  ~Log() override {
    set_log_rank(0);
    set_log_file("");
  }
};

TEST_F(Log, PrefixesLinesWithTheTimeOnStdout) {
  const Printed printed = printed_by([] { log("loss {:.2f}", 1.5); });
  EXPECT_THAT(printed.out, MatchesRegex(kClock + " loss 1\\.50\n"));
  EXPECT_EQ(printed.err, "");
}

TEST_F(Log, SendsWarningsToStderr) {
  const Printed printed = printed_by([] { warn("disk {}", "slow"); });
  EXPECT_THAT(printed.err, MatchesRegex(kClock + " warning: disk slow\n"));
  EXPECT_EQ(printed.out, "");
}

TEST_F(Log, OtherRanksOnlyWarnAndSayWhoTheyAre) {
  set_log_rank(3);
  const Printed printed = printed_by([] {
    log("not printed");
    warn("odd");
  });
  EXPECT_EQ(printed.out, "");
  EXPECT_THAT(printed.err, HasSubstr("warning: rank 3: odd\n"));
}

TEST_F(Log, PrintsBracesOfItsArgumentsAsTheyAre) {
  EXPECT_THAT(printed_by([] { log_text("{} {0:d}"); }).out, HasSubstr(" {} {0:d}\n"));
}

TEST_F(Log, CopiesLinesAndWarningsToTheLogFile) {
  const TempFolder folder;
  set_log_file(folder / "log");
  printed_by([] {
    log("first");
    warn("second");
  });
  set_log_file("");
  printed_by([] { log("third"); });
  const std::string stamp = "[0-9]{4}-[0-9]{2}-[0-9]{2}T" + kClock;
  EXPECT_THAT(read_text_file(folder / "log"), MatchesRegex(stamp + " first\n" + stamp + " warning: second\n"));
}

TEST_F(Log, AppendsToAnExistingLogFile) {
  const TempFolder folder;
  write_file_durably(folder / "log", "before\n");
  set_log_file(folder / "log");
  printed_by([] { log("after"); });
  const std::string text = read_text_file(folder / "log");
  EXPECT_EQ(text.substr(0, 7), "before\n");
  EXPECT_THAT(text, HasSubstr(" after\n"));
}

TEST_F(Log, RefusesALogFileThatCannotBeWritten) {
  const TempFolder folder;
  EXPECT_NEXUS_ERROR(set_log_file(folder.path()), ErrorKind::kIo, HasSubstr(folder.path()));
  EXPECT_THAT(printed_by([] { log("still speaking"); }).out, HasSubstr("still speaking"));
}

TEST_F(Log, LineBuilderJoinsGroupsWithBars) {
  EXPECT_EQ(
      LineBuilder("stage s240 step 3 of 9").group("loss {:.4f}", 2.5).group("lr {:.2e} grad_norm {}", 1e-3, 1).str(),
      "stage s240 step 3 of 9 | loss 2.5000 | lr 1.00e-03 grad_norm 1");
}

}  // namespace
}  // namespace nexus
