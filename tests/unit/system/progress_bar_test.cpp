#include "system/progress_bar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/printed.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;
using testing::Printed;
using testing::printed_by;

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
