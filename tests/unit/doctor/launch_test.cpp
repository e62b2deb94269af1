#include <gtest/gtest.h>

#include <map>

#include "doctor/launch_context.h"

namespace nexus {
namespace {

LaunchContext context_of(std::map<std::string, std::string> variables) {
  return launch_context([&](const char* name) { return variables[name]; }, "host");
}

TEST(LaunchContext, OutsideEverythingAProcessIsAlone) {
  const LaunchContext context = context_of({});
  EXPECT_EQ(context.by, StartedBy::kNobody);
  EXPECT_TRUE(context.alone());
  EXPECT_EQ(context.job, "");
  EXPECT_EQ(context.host, "host");
}

TEST(LaunchContext, ABatchScriptIsInAJobButNoRank) {
  const LaunchContext context =
      context_of({{"SLURM_JOB_ID", "12"}, {"SLURM_PROCID", "0"}, {"SLURM_JOB_NUM_NODES", "3"}, {"SLURM_NTASKS", "6"}});
  EXPECT_EQ(context.by, StartedBy::kNobody);
  EXPECT_EQ(context.job, "12");
  EXPECT_EQ(context.nodes, 3);
}

TEST(LaunchContext, TasksOfOneStepShareAToken) {
  std::map<std::string, std::string> task{{"SLURM_JOB_ID", "12"},
                                          {"SLURM_PROCID", "1"},
                                          {"SLURM_STEP_NUM_TASKS", "2"},
                                          {"SLURM_STEP_ID", "4"},
                                          {"SLURMD_NODENAME", "n2"}};
  const LaunchContext context = context_of(task);
  EXPECT_EQ(context.by, StartedBy::kSrun);
  EXPECT_EQ(context.rank, 1);
  EXPECT_EQ(context.size, 2);
  EXPECT_EQ(context.host, "n2");
  EXPECT_FALSE(context.wired);
  task["SLURM_PROCID"] = "0";
  EXPECT_EQ(context_of(task).token, context.token);
  task["PMIX_RANK"] = "1";
  EXPECT_TRUE(context_of(task).wired);
  task["SLURM_STEP_ID"] = "5";
  EXPECT_NE(context_of(task).token, context.token);
}

TEST(LaunchContext, UnderMpirunInAJobOpenMpiCounts) {
  const LaunchContext context = context_of({{"SLURM_JOB_ID", "12"},
                                            {"SLURM_PROCID", "0"},
                                            {"SLURM_STEP_NUM_TASKS", "2"},
                                            {"OMPI_COMM_WORLD_RANK", "3"},
                                            {"OMPI_COMM_WORLD_SIZE", "4"},
                                            {"PMIX_NAMESPACE", "../17 3"}});
  EXPECT_EQ(context.by, StartedBy::kMpirun);
  EXPECT_EQ(context.rank, 3);
  EXPECT_EQ(context.size, 4);
  EXPECT_EQ(context.token, "mpirun-.._17_3");
}

}  // namespace
}  // namespace nexus
