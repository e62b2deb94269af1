#include "core/standard_streams.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "core/log.h"

namespace nexus {
namespace {

// In a process of its own, since descriptors and stdio's streams are the whole process's. 0: the function said true.
template <typename Function>
int in_a_child(Function function) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(function() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(StandardStreams, ThatAreClosedAreNotTakenByTheNextFile) {
  EXPECT_EQ(in_a_child([] {
              for (const int stream : {0, 1, 2}) ::close(stream);
              secure_standard_streams();
              return ::open("/dev/null", O_RDONLY) > 2;
            }),
            0);
}

TEST(StandardStreams, ThatAreOpenStayAsTheyAre) {
  EXPECT_EQ(in_a_child([] {
              secure_standard_streams();
              return standard_output_wanted() && standard_output_trouble().empty();
            }),
            0);
}

TEST(StandardStreams, AClosedOutputLosesWhatIsPrintedButNoLogLines) {
  EXPECT_EQ(in_a_child([] {
              ::close(1);
              secure_standard_streams();
              log("for nobody");
              const bool quiet = !standard_output_wanted() && standard_output_trouble().empty();
              std::fputs("a product\n", stdout);
              return quiet && standard_output_trouble() == "it is closed";
            }),
            0);
}

TEST(StandardStreams, AFullOutputIsToldWhereverTheWriteFailed) {
  for (const bool by_log : {false, true})
    EXPECT_EQ(in_a_child([by_log] {
                ::dup2(::open("/dev/full", O_WRONLY), 1);
                ::dup2(::open("/dev/null", O_WRONLY), 2);
                secure_standard_streams();
                if (by_log)
                  log("a line");
                else
                  std::fputs("a product\n", stdout);
                return !standard_output_trouble().empty() && !standard_output_trouble().empty();
              }),
              0)
        << by_log;
}

TEST(StandardStreams, AReaderThatHasGoneIsNoSignal) {
  EXPECT_EQ(in_a_child([] {
              int ends[2];
              if (::pipe(ends) != 0) return false;
              ::dup2(ends[1], 1);
              ::close(ends[0]);
              ::close(ends[1]);
              secure_standard_streams();
              std::fputs("a product\n", stdout);
              return standard_output_trouble() == "Broken pipe";
            }),
            0);
}

}  // namespace
}  // namespace nexus
