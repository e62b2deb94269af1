#include "slurm/quote.h"

#include <gtest/gtest.h>

#include "slurm/templates.h"
#include "support/expect_error.h"
#include "unit/slurm/sbatch_reader.h"

namespace nexus {
namespace {

using testing::AllOf;
using testing::HasSubstr;

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
