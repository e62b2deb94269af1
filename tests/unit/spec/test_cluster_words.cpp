#include <gtest/gtest.h>

#include "spec/cluster_words.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

TEST(ClusterWords, HoldWhatSlurmsSyntaxNeeds) {
  for (const auto& [key, word] :
       {std::pair("partition", "gpu,gpu-low"), std::pair("account", "team+x@site"), std::pair("qos", "high@gpu"),
        std::pair("constraint", "[a|b]&c*4,hbm=flat"), std::pair("reservation", "maint_1@x"),
        std::pair("gres", "gpu:h200"), std::pair("memory", "512G"), std::pair("srun_mpi", "pmix_v4")})
    EXPECT_TRUE(is_word(word, signs_of_word(key))) << key;
}

TEST(ClusterWords, HoldNothingThatAShellTakesForMore) {
  for (const char* key : {"partition", "account", "qos", "constraint", "reservation", "gres", "memory", "srun_mpi"})
    for (const char* word : {"", "-a", "a b", "a;b", "$(a)", "`a`", "a'b", "a\"b", "a\\b", "a#b", "a>b", "a\nb", "{a}",
                             "~", "a!", "a%j", "\xc3\xa4"})
      EXPECT_FALSE(is_word(word, signs_of_word(key))) << key << " " << word;
}

TEST(ClusterWords, AKeyWithoutARuleIsAMistakeOfOurs) {
  EXPECT_NEXUS_ERROR(signs_of_word("name"), ErrorKind::kInternal, testing::HasSubstr("name"));
}

}  // namespace
}  // namespace nexus
