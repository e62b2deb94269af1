#include "campaign/stale_slurm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "support/temp_folder.h"

namespace nexus {
namespace {

using Kind = QueueAnswer::Kind;
using testing::HasSubstr;

const SlurmJob kJob{"345", 0, 1};

QueueAnswer answer_of(Kind kind, int64_t user = 1000) {
  QueueAnswer answer;
  answer.kind = kind;
  answer.user = user;
  return answer;
}

TEST(StaleSlurm, IsAJobThatIsOverOrAnothersOrUnknown) {
  EXPECT_THAT(why_stale(kJob, answer_of(Kind::kNoSuchJob), 1000, {}, 50), HasSubstr("no job 345"));
  EXPECT_THAT(why_stale(kJob, answer_of(Kind::kOver), 1000, {}, 50), HasSubstr("over"));
  EXPECT_THAT(why_stale(kJob, answer_of(Kind::kLives, 1001), 1000, {}, 50), HasSubstr("1001"));
  EXPECT_THAT(why_stale(kJob, answer_of(Kind::kNoSlurm), 1000, 49, 50), HasSubstr("SLURM_JOB_END_TIME"));
}

TEST(StaleSlurm, IsNoJobThatMayWellRun) {
  EXPECT_EQ(why_stale(kJob, answer_of(Kind::kLives), 1000, 49, 50), "") << "its limit was extended";
  EXPECT_EQ(why_stale(kJob, answer_of(Kind::kLives, 1001), -1, {}, 50), "") << "users have other numbers in here";
  EXPECT_EQ(why_stale(kJob, answer_of(Kind::kSilent), 1000, 49, 50), "") << "the controller is down for a while";
  EXPECT_EQ(why_stale(kJob, answer_of(Kind::kNoSlurm), 1000, 51, 50), "") << "a container without Slurm's commands";
  EXPECT_EQ(why_stale(kJob, answer_of(Kind::kNoSlurm), 1000, {}, 50), "");
}

// The environment is the process's: each case in one of its own.
template <typename Function>
int in_a_child(const std::string& squeue, Function function) {
  const TempFolder folder;
  std::ofstream(folder / "squeue") << "#!/bin/sh\n" << squeue << "\n";
  ::chmod((folder / "squeue").c_str(), 0755);
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("PATH", (folder.path() + ":" + ::getenv("PATH")).c_str(), 1);
    for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"}) ::unsetenv(name);
    ::setenv("SLURM_JOB_ID", "345", 1);
    ::setenv("SLURM_STEP_NUM_TASKS", "4", 1);
    ::setenv("SLURM_CONF", "/here", 1);
    ::_exit(function() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

bool is_set(const char* name) {
  return ::getenv(name) != nullptr;
}

const std::string kNoSuchJob = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1";

TEST(StaleSlurm, VariablesAreLeftOutAndTheConfigurationStays) {
  EXPECT_EQ(in_a_child(kNoSuchJob,
                       [] {
                         leave_out_stale_slurm();
                         return !is_set("SLURM_JOB_ID") && !is_set("SLURM_STEP_NUM_TASKS") && is_set("SLURM_CONF");
                       }),
            0);
}

TEST(StaleSlurm, VariablesOfAJobThatLivesStay) {
  EXPECT_EQ(in_a_child("echo \"345|RUNNING|$(id -u)|1:00\"",
                       [] {
                         leave_out_stale_slurm();
                         return is_set("SLURM_JOB_ID") && is_set("SLURM_STEP_NUM_TASKS");
                       }),
            0);
}

TEST(StaleSlurm, ANumberThatIsNoneNamesNoJob) {
  EXPECT_EQ(in_a_child("exit 1",
                       [] {
                         ::setenv("SLURM_JOB_ID", "345; rm", 1);
                         leave_out_stale_slurm();
                         return !is_set("SLURM_JOB_ID");
                       }),
            0);
}

TEST(StaleSlurm, AStepOfNoJobSaysNothing) {
  for (const char* id : {"", "unset"})
    EXPECT_EQ(in_a_child("exit 1",
                         [id] {
                           ::setenv("SLURM_JOB_ID", id, 1);
                           if (std::string(id) == "unset") ::unsetenv("SLURM_JOB_ID");
                           ::setenv("OMPI_COMM_WORLD_RANK", "1", 1);  // every rank drops its own
                           leave_out_stale_slurm();
                           return !is_set("SLURM_STEP_NUM_TASKS") && is_set("SLURM_CONF");
                         }),
              0);
}

TEST(StaleSlurm, OnlyTheFirstRankAsks) {
  EXPECT_EQ(in_a_child(kNoSuchJob,
                       [] {
                         ::setenv("OMPI_COMM_WORLD_RANK", "1", 1);
                         leave_out_stale_slurm();
                         return is_set("SLURM_JOB_ID");
                       }),
            0);
}

}  // namespace
}  // namespace nexus
