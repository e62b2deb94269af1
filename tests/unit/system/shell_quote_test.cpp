#include "system/shell_quote.h"

#include <gtest/gtest.h>

#include "system/process.h"

namespace nexus {
namespace {

TEST(ShellQuote, TheShellReadsBackWhatWasQuoted) {
  for (const char* shell : {"sh", "bash"})
    for (const std::string text : {"",    "a",       "a b",   "it's",           "$(id)", "`id`",  "a\nb",   "-n",
                                   "a=b", "--a=b",   "~",     "it's; rm -rf /", "*",     "!x",    "\\",     "'\\''",
                                   "#",   "a;b&c|d", "{a,b}", "\xff\xfe",       "\"",    "$HOME", "a\\b\"c"})
      EXPECT_EQ(run_process({shell, "-c", "printf %s " + shell_quote(text)}, 300).output, text) << shell_quote(text);
}

TEST(ShellQuote, HarmlessWordsStayReadable) {
  EXPECT_EQ(shell_quote("/home/ada/runs/a-1_b.yaml"), "/home/ada/runs/a-1_b.yaml");
  EXPECT_EQ(shell_quote("--cpu-bind=cores"), "--cpu-bind=cores");
  EXPECT_EQ(shell_quote("a=b"), "'a=b'");  // would be an assignment
  EXPECT_EQ(shell_quote("it's $HOME"), "'it'\\''s $HOME'");
}

TEST(ShellQuote, ACommandIsItsWords) {
  EXPECT_EQ(shell_command({"nexus", "report", "my run", "--out=x"}), "nexus report 'my run' --out=x");
  EXPECT_EQ(shell_command({}), "");
}

}  // namespace
}  // namespace nexus
