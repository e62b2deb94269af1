#include "train/stop_requests.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "support/temp_folder.h"

namespace nexus {
namespace {

using Handler = void (*)(int);

Handler handler_of(int number) {
  struct sigaction action {};
  ::sigaction(number, nullptr, &action);
  return action.sa_handler;
}

class Signals : public ::testing::Test {
 protected:
  // Whoever runs this test may have ignored them.
  void SetUp() override {
    for (const int number : {SIGINT, SIGHUP}) std::signal(number, SIG_DFL);
  }
  TempFolder folder_;
  StopRequests requests(const std::vector<int>& ignored = {}) const {
    return StopRequests(RunFolder{folder_.path()}, true, std::nullopt, ignored);
  }
};

TEST_F(Signals, ThatPeopleAndSchedulersSendAskForAStopThatCannotWait) {
  for (const auto& [number, name] : {std::pair{SIGTERM, "signal TERM"},
                                     {SIGUSR2, "signal USR2"},
                                     {SIGUSR1, "signal USR1"},
                                     {SIGINT, "signal INT"},
                                     {SIGHUP, "signal HUP"}}) {
    StopRequests asked = requests();
    EXPECT_FALSE(asked.poll().stop);
    std::raise(number);
    const Requests answer = asked.poll();
    EXPECT_TRUE(answer.stop && answer.urgent && answer.save) << name;
    EXPECT_EQ(asked.reason(), name);
  }
}

TEST_F(Signals, AreForgottenByTheNextLaunchOfTheSameProcess) {
  {
    StopRequests asked = requests();
    std::raise(SIGTERM);
  }
  EXPECT_FALSE(requests().poll().stop);
}

TEST_F(Signals, ThatNohupOrABackgroundShellIgnoresStayIgnoredThoughALibraryTookThem) {
  for (const int number : {SIGINT, SIGHUP}) {
    std::signal(number, [](int) {});
    StopRequests asked = requests({SIGINT, SIGHUP});
    EXPECT_EQ(handler_of(number), SIG_IGN);
    std::raise(number);
    EXPECT_FALSE(asked.poll().stop);
    std::signal(number, SIG_DFL);
  }
}

// A scheduler that starts its jobs with TERM ignored still means it when it sends one.
TEST_F(Signals, OfSchedulersAskForAStopThoughTheyWereIgnored) {
  StopRequests asked = requests({SIGTERM, SIGUSR1, SIGUSR2});
  std::raise(SIGTERM);
  EXPECT_TRUE(asked.poll().stop);
}

TEST_F(Signals, AreLeftAsTheyWereFound) {
  std::signal(SIGUSR1, SIG_IGN);
  { const StopRequests asked = requests(); }
  EXPECT_EQ(handler_of(SIGUSR1), SIG_IGN);
  EXPECT_EQ(handler_of(SIGINT), SIG_DFL);
  std::signal(SIGUSR1, SIG_DFL);
}

// Two at once; on a crowded host they may be half a second apart all the same, but not each time.
TEST_F(Signals, AnInterruptThatAScriptPassesOnIsOneInterrupt) {
  int survived = 0;
  for (int tries = 0; tries < 10 && survived == 0; ++tries) {
    const pid_t child = ::fork();
    if (child == 0) {
      StopRequests asked = requests();
      std::raise(SIGINT);
      std::raise(SIGINT);
      ::_exit(asked.poll().stop ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    survived += status == 0 ? 1 : 0;
  }
  EXPECT_EQ(survived, 1);
}

using SignalsDeathTest = Signals;

TEST_F(SignalsDeathTest, TheSecondInterruptEndsAtOnce) {
  EXPECT_EXIT(
      {
        const StopRequests asked = requests();
        std::raise(SIGINT);
        std::this_thread::sleep_for(std::chrono::milliseconds(600));
        std::raise(SIGINT);
        ::_exit(0);
      },
      ::testing::KilledBySignal(SIGINT), "once more ends at once");
}

}  // namespace
}  // namespace nexus
