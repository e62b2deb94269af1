#include "comm/exit_guard.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <thread>

namespace nexus {
namespace {

class ExitGuard : public testing::Test {
 protected:
  ExitGuard() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(ExitGuard, ACrashAfterTheErrorWasToldLeavesItsExitCode) {
  const auto crash = [](int number) {
    guard_exit_code(3);
    ::raise(number);
  };
  EXPECT_EXIT(crash(SIGSEGV), testing::ExitedWithCode(3), "warning: signal 11 while the process was ending");
  EXPECT_EXIT(crash(SIGBUS), testing::ExitedWithCode(3), "signal 07");
  EXPECT_EXIT(crash(SIGABRT), testing::ExitedWithCode(3), "signal 06");
}

TEST_F(ExitGuard, OtherThreadsAreCoveredToo) {
  const auto crash = [] {
    guard_exit_code(74);
    std::thread([] { ::raise(SIGSEGV); }).join();
  };
  EXPECT_EXIT(crash(), testing::ExitedWithCode(74), "signal 11");
}

TEST_F(ExitGuard, AnEndWithoutACrashSaysNothing) {
  const auto end = [](int code) {
    guard_exit_code(code);
    std::exit(code);
  };
  EXPECT_EXIT(end(2), testing::ExitedWithCode(2), "^$");
}

}  // namespace
}  // namespace nexus
