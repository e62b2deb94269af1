#include "system/process.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>

namespace nexus {
namespace {

TEST(Process, TellsWhatTheProgramWroteAndHowItEnded) {
  const ProcessResult result = run_process({"sh", "-c", "echo out; echo err >&2; exit 3"}, 300);
  EXPECT_EQ(result.output, "out\n");
  EXPECT_EQ(result.errors, "err\n");
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.first_line(), "out");
  EXPECT_TRUE(result.found);
  EXPECT_FALSE(result.ok());
  EXPECT_TRUE(run_process({"true"}, 300).ok());
  EXPECT_EQ(run_process({"sh", "-c", "kill -9 $$"}, 300).code, 128 + SIGKILL);
}

TEST(Process, ArgumentsAreNeverReadAsShell) {
  for (const std::string hostile : {"$(touch x); `id` && 'a' \"b\" | > /dev/null", "-n", "*", "a\nb"})
    EXPECT_EQ(run_process({"printf", "%s", hostile}, 300).output, hostile);
}

TEST(Process, ProgramsThatAreNotThereAreToldApart) {
  const ProcessResult result = run_process({"no-such-program-of-nexus"}, 300);
  EXPECT_FALSE(result.found);
  EXPECT_FALSE(result.ok());
}

TEST(Process, TooSlowProgramsAreKilledEvenIfTheirOutputIsClosed) {
  for (const char* script : {"exec sleep 600", "exec sleep 600 >&- 2>&-"}) {
    const auto start = std::chrono::steady_clock::now();
    const ProcessResult result = run_process({"sh", "-c", script}, 0.3);
    EXPECT_TRUE(result.timed_out);
    EXPECT_FALSE(result.ok());
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(300));
  }
}

TEST(Process, LongOutputIsCutAndTheProgramStillEnds) {
  const ProcessResult result = run_process({"sh", "-c", "head -c 3000000 /dev/zero; echo end >&2"}, 300);
  EXPECT_EQ(result.output.size(), size_t{1} << 20);
  EXPECT_EQ(result.errors, "end\n");
  EXPECT_TRUE(result.ok());
}

TEST(Process, FindsSignalsAsAProgramExpectsThem) {
  std::signal(SIGPIPE, SIG_IGN);
  const ProcessResult result = run_process({"sh", "-c", "kill -PIPE $$; echo survived"}, 300);
  std::signal(SIGPIPE, SIG_DFL);
  EXPECT_EQ(result.code, 128 + SIGPIPE);
}

}  // namespace
}  // namespace nexus
