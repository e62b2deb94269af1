#include "doctor/finding.h"

#include <gtest/gtest.h>

#include "doctor/versions.h"
#include "unit/doctor/finding_support.h"

namespace nexus {
namespace {

std::vector<Finding> some_findings() {
  Findings mpi("mpi"), fs("fs");
  mpi.ok("one world of 2");
  fs.problem("the disk is full", "free some space").figures["free_bytes"] = 12;
  fs.note("no quota");
  std::vector<Finding> all = mpi.list();
  all.insert(all.end(), fs.list().begin(), fs.list().end());
  return all;
}

TEST(Finding, TextIsAlignedNamesCuresAndCounts) {
  EXPECT_EQ(findings_text(some_findings()),
            "mpi  ok       one world of 2\n"
            "fs   problem  the disk is full\n"
            "              -> free some space\n"
            "fs   note     no quota\n"
            "nexus doctor: 1 problem, 0 warnings, 1 note, 1 ok\n");
}

TEST(Finding, OnlyProblemsMakeTheExitCode) {
  EXPECT_EQ(exit_code_of(some_findings()), 2);
  Findings mild("fs");
  mild.warning("slow", "wait");
  mild.note("odd");
  EXPECT_EQ(exit_code_of(mild.list()), 0);
}

TEST(Finding, JsonHoldsEveryField) {
  const nlohmann::json document = findings_json(some_findings());
  EXPECT_EQ(document["problems"], 1);
  EXPECT_EQ(document["warnings"], 0);
  const nlohmann::json expected = {{"area", "fs"},
                                   {"level", "problem"},
                                   {"what", "the disk is full"},
                                   {"cure", "free some space"},
                                   {"figures", {{"free_bytes", 12.0}}}};
  EXPECT_EQ(document["findings"][1], expected);
}

TEST(Printable, KeepsNoControlCharactersAndNoUnendingText) {
  EXPECT_EQ(printable(" a\x1b[31mb\n\n\tc\x07\xc3\xa9 "), "a?[31mb c???");
  EXPECT_EQ(printable(std::string(500, 'x'), 10), "xxxxxxxxxx...");
}

TEST(Versions, OtherLibrariesThanThoseOfTheBuildAreFound) {
  const std::vector<Finding> findings = judge_versions({{"MPI", "Open MPI v4.1.4", "Open MPI v5.0.1"},
                                                        {"HDF5", "1.10.8", "1.10.9"},
                                                        {"zstd", "1.5.4", "1.5.2"},
                                                        {"oneDNN", "2.7.1", "2.6.0"},
                                                        {"glibc", "2.36", "2.36"},
                                                        {"driver", "", "13.0"}});
  EXPECT_EQ(level_of(findings, "MPI: compiled with Open MPI v4.1.4, loaded Open MPI v5.0.1"), "problem");
  EXPECT_EQ(level_of(findings, "HDF5"), "problem");
  EXPECT_EQ(level_of(findings, "zstd"), "note");
  EXPECT_EQ(level_of(findings, "oneDNN"), "warning");
  EXPECT_EQ(level_of(findings, "glibc 2.36, driver 13.0"), "ok");
  EXPECT_TRUE(all_have_cures(findings));
}

}  // namespace
}  // namespace nexus
