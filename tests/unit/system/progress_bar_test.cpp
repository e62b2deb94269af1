#include "system/progress_bar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nexus {
namespace {

using ::testing::HasSubstr;
using ::testing::internal::CaptureStderr;
using ::testing::internal::CaptureStdout;
using ::testing::internal::GetCapturedStderr;
using ::testing::internal::GetCapturedStdout;

struct Printed {
  std::string out, err;
};

template <typename Function>
Printed printed_by(Function function) {
  CaptureStdout();
  CaptureStderr();
  function();
  Printed printed;
  printed.err = GetCapturedStderr();
  printed.out = GetCapturedStdout();
  return printed;
}

TEST(ProgressBar, WritesPlainLinesWhereThereIsNoTerminal) {
  const Printed printed = printed_by([] {
    Progress progress("reading", 200, "bytes", 0.0);
    progress.update(50);
    progress.update(200);
  });
  EXPECT_THAT(printed.out, HasSubstr("reading  25 % of 200 bytes | eta "));
  EXPECT_THAT(printed.out, HasSubstr("reading 100 % of 200 bytes | eta 0:00:00 | "));
  EXPECT_EQ(printed.err, "");
}

TEST(ProgressBar, IsSilentWhenTheWorkIsShort) {
  const Printed printed = printed_by([] {
    Progress progress("reading", 200, "bytes", 3600.0);
    progress.update(200);
  });
  EXPECT_EQ(printed.out + printed.err, "");
}

TEST(ProgressBar, OfUnknownLengthCountsOnly) {
  const Printed printed = printed_by([] {
    Progress progress("reading", 0, "bytes", 0.0);
    progress.update(1500);
  });
  EXPECT_THAT(printed.out, HasSubstr("reading 1.50k bytes | "));
}

}  // namespace
}  // namespace nexus
