#include <gtest/gtest.h>

#include <cstdlib>

#include "system/expand_path.h"

namespace nexus::testing {
namespace {

class ExpandPath : public ::testing::Test {
 protected:
  ExpandPath() {
    setenv("HOME", "/home/someone", 1);
    setenv("NX_SCRATCH", "/scratch/a b", 1);
    setenv("NX_EMPTY", "", 1);
    setenv("NX_DOLLAR", "/x/$y", 1);
    setenv("NX_TILDE", "~", 1);
    setenv("NX_GLOB", "/x/*", 1);
    unsetenv("NX_UNSET");
  }
};

TEST_F(ExpandPath, LeavesPlainPathsAsTheyAre) {
  for (const char* path :
       {"runs/a", "/abs/b", "a~b", "a/~/b", "./~x", "a b/\"ö: #,'%", "a]b", "a(b)&;|<>!", "%name", ""}) {
    EXPECT_EQ(expand_path(path).path, path);
    EXPECT_EQ(expand_path(path).problem, "") << path;
  }
}

TEST_F(ExpandPath, ReadsHomeAndVariablesAsAShellDoes) {
  EXPECT_EQ(expand_path("~").path, "/home/someone");
  EXPECT_EQ(expand_path("~/runs").path, "/home/someone/runs");
  EXPECT_EQ(expand_path("$HOME/x").path, "/home/someone/x");
  EXPECT_EQ(expand_path("${NX_SCRATCH}/%name").path, "/scratch/a b/%name");
  EXPECT_EQ(expand_path("/data/$NX_SCRATCH-1${HOME}").path, "/data//scratch/a b-1/home/someone");
}

TEST_F(ExpandPath, RefusesWhatIsNotSetAndOtherSyntax) {
  for (const char* path : {"~other/x",   "$NX_UNSET/x", "${NX_UNSET}", "$NX_EMPTY/x", "a$", "$",   "${",
                           "${}",        "${HOME",      "${HOME:-x}",  "$(pwd)",      "$1", "$$",  "a/\\$HOME/$",
                           "$NX_DOLLAR", "$NX_TILDE/x", "`pwd`/x",     "{a,b}",       "a}", "a/*", "a?",
                           "a[0]",       "a\\b",        "\\$HOME",     "$NX_GLOB/x"}) {
    const ExpandedPath expanded = expand_path(path);
    EXPECT_NE(expanded.problem, "") << path << " became " << expanded.path;
    EXPECT_NE(expanded.todo, "") << path;
  }
  EXPECT_EQ(expand_path("$NX_UNSET/x").problem, "the variable NX_UNSET is not set");
}

TEST_F(ExpandPath, DoesNotChangeItsOwnResult) {
  for (const char* path : {"~/a", "$NX_SCRATCH/~", "${HOME}~"}) {
    const std::string once = expand_path(path).path;
    EXPECT_EQ(expand_path(once).path, once);
  }
}

}  // namespace
}  // namespace nexus::testing
