#include "system/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

namespace nexus {
namespace {

using testing::Contains;
using testing::Not;

TEST(Environment, TellsAnEmptyVariableFromNoneWhereAsked) {
  ::setenv("NX_SET", "a=b", 1);
  ::setenv("NX_EMPTY", "", 1);
  ::unsetenv("NX_UNSET");
  EXPECT_EQ(environment("NX_SET"), "a=b");
  EXPECT_EQ(environment("NX_EMPTY"), "");
  EXPECT_EQ(environment("NX_UNSET"), "");
  EXPECT_EQ(find_environment("NX_EMPTY"), "");
  EXPECT_EQ(find_environment("NX_UNSET"), std::nullopt);
  EXPECT_THAT(environment_names(), Contains("NX_SET"));
  EXPECT_THAT(environment_names(), Contains("NX_EMPTY"));
  EXPECT_THAT(environment_names(), Not(Contains("NX_UNSET")));
}

TEST(Environment, NamesOfVariablesAreThoseThatAShellTakes) {
  for (const char* name : {"A", "_", "a_1", "OMP_NUM_THREADS"}) EXPECT_TRUE(is_variable_name(name)) << name;
  for (const char* name : {"", "1A", "A-B", "A B", "A=B", "\xc3\x84", "A.B"})
    EXPECT_FALSE(is_variable_name(name)) << name;
}

}  // namespace
}  // namespace nexus
