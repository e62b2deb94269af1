#include "slurm/quote.h"

#include <gtest/gtest.h>

#include "core/process.h"
#include "slurm/templates.h"
#include "support/expect_error.h"
#include "unit/slurm/sbatch_reader.h"

namespace nexus {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(Quote, TheShellReadsBackWhatWasQuoted) {
  for (const std::string text :
       {"",  "a",  "a b", "it's",  "$(id)", "`id`",    "a\nb",  "-n",       "a=b", "--a=b", "~",
        "*", "!x", "\\",  "'\\''", "#",     "a;b&c|d", "{a,b}", "\xff\xfe", "\"",  "$HOME"})
    EXPECT_EQ(run_process({"bash", "-c", "printf %s " + shell_quote(text)}, 300).output, text) << shell_quote(text);
}

TEST(Quote, HarmlessWordsStayReadable) {
  EXPECT_EQ(shell_quote("/home/ada/runs/a-1_b.yaml"), "/home/ada/runs/a-1_b.yaml");
  EXPECT_EQ(shell_quote("--cpu-bind=cores"), "--cpu-bind=cores");
  EXPECT_EQ(shell_quote("a=b"), "'a=b'");  // would be an assignment
}

TEST(Quote, SbatchReadsBackWhatWasQuoted) {
  for (const std::string text : {"/runs/my run", "50%", "a\"b", "a\\b", "it's", "#x", "a\\\"b\\\\", "\\"})
    EXPECT_EQ(words_of_sbatch_line("#SBATCH --chdir=" + sbatch_quote(text)),
              (std::vector<std::string>{"--chdir=" + text}));
}

TEST(Quote, WordsAreRefusedWithKeyAndCure) {
  EXPECT_NO_THROW(require_word("gpu-h200_x", "_-", "key partition"));
  for (const std::string text : {"", "-x", "a b", "a\nb", "a;b", "gpu#", "\xc3\xa4"})
    EXPECT_NEXUS_ERROR(require_word(text, "_-", "key partition"), ErrorKind::kConfig,
                       AllOf(HasSubstr("key partition"), HasSubstr("use letters")));
  EXPECT_NEXUS_ERROR(require_printable("a\nb", "run folder"), ErrorKind::kConfig, HasSubstr("run folder"));
}

TEST(Template, PlacesAreFilledOnceAndEmptyLinesVanish) {
  EXPECT_EQ(fill_template("a@X@b\n@Y@\nc@example.org\n", {{"X", "@Y@"}, {"Y", ""}}), "a@Y@b\nc@example.org\n");
  EXPECT_NEXUS_ERROR(fill_template("@X@", {}), ErrorKind::kInternal, HasSubstr("@X@"));
  EXPECT_NEXUS_ERROR(fill_template("", {{"X", ""}}), ErrorKind::kInternal, HasSubstr("@X@"));
}

}  // namespace
}  // namespace nexus
