#include "core/error.h"

#include <cerrno>

#include "core/host.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::testing::StrEq;

TEST(Error, JoinsWhatWhereAndTodoWithSemicolons) {
  EXPECT_STREQ(Error(ErrorKind::kConfig, "M is 0", "a.yaml:3", "use a positive M").what(),
               "M is 0; a.yaml:3; use a positive M");
}

TEST(Error, LeavesOutEmptyParts) {
  EXPECT_STREQ(Error(ErrorKind::kConfig, "M is 0").what(), "M is 0");
  EXPECT_STREQ(Error(ErrorKind::kConfig, "M is 0", "", "use a positive M").what(), "M is 0; use a positive M");
}

TEST(Error, KindsHaveTheDocumentedExitCodes) {
  EXPECT_EQ(to_int(exit_code(ErrorKind::kInternal)), 1);
  EXPECT_EQ(to_int(exit_code(ErrorKind::kConfig)), 2);
  EXPECT_EQ(to_int(exit_code(ErrorKind::kData)), 3);
  EXPECT_EQ(to_int(exit_code(ErrorKind::kCheckpoint)), 3);
  EXPECT_EQ(to_int(exit_code(ErrorKind::kNumeric)), 4);
  EXPECT_EQ(to_int(exit_code(ErrorKind::kIo)), 74);
  EXPECT_EQ(to_int(exit_code(ErrorKind::kComm)), 74);
  EXPECT_EQ(to_int(exit_code(ErrorKind::kDevice)), 76);
  EXPECT_EQ(to_int(exit_code(ErrorKind::kFenced)), 77);
  EXPECT_EQ(to_int(exit_code(ErrorKind::kNoProgress)), 93);
}

TEST(Error, OfADeviceSuspectsThisHostUnlessToldOtherwise) {
  Error error(ErrorKind::kDevice, "GPU lost");
  EXPECT_EQ(error.suspect_node(), host_name());
  error.set_suspect_node("n12");
  EXPECT_EQ(error.suspect_node(), "n12");
  EXPECT_EQ(Error(ErrorKind::kIo, "disk full").suspect_node(), "");
}

TEST(Error, ErrnoTextNamesOperationPathAndCure) {
  errno = ENOENT;
  EXPECT_NEXUS_ERROR(throw_errno("open", "/x/y"), ErrorKind::kIo,
                     StrEq("cannot open: No such file or directory; /x/y; check the path and its permissions"));
}

TEST(Error, FullDiskAdvisesToFreeSpace) {
  for (const int code : {ENOSPC, EDQUOT}) {
    errno = code;
    EXPECT_NEXUS_ERROR(throw_errno("write", "/x"), ErrorKind::kIo, HasSubstr("free some space"));
  }
}

TEST(Check, ThrowsExpressionValuesAndPlaceWhenFalse) {
  const int rows = 3;
  EXPECT_NEXUS_ERROR(NX_CHECK(rows == 4, "rows {}", rows), ErrorKind::kInternal,
                     AllOf(StartsWith("internal check failed: rows == 4 (rows 3); "), HasSubstr("error_test.cpp:"),
                           EndsWith("this is a bug in nexus: please report it")));
}

TEST(Check, WorksWithoutAFormat) {
  EXPECT_NEXUS_ERROR(NX_CHECK(1 == 2), ErrorKind::kInternal, StartsWith("internal check failed: 1 == 2; "));
}

TEST(Check, EvaluatesItsConditionOnceAndIsSilentWhenTrue) {
  int calls = 0;
  NX_CHECK(++calls == 1, "calls {}", calls);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace nexus
