#include <gtest/gtest.h>

#include <map>

#include "system/launch_environment.h"

namespace nexus {
namespace {

LaunchEnvironment launch_of(std::map<std::string, std::string> variables) {
  return launch_environment([&](const std::string& name) { return variables[name]; }, "host");
}

TEST(Launch, OutsideEverythingAProcessIsAlone) {
  const LaunchEnvironment launch = launch_of({});
  EXPECT_EQ(launch.by, StartedBy::kNobody);
  EXPECT_TRUE(launch.alone());
  EXPECT_FALSE(launch.job);
  EXPECT_TRUE(launch.first);
  EXPECT_FALSE(launch.local_rank);
  EXPECT_EQ(launch.ranks_on_node, 1);
  EXPECT_EQ(launch.stray, "");
  EXPECT_EQ(launch.host, "host");
}

TEST(Launch, ABatchScriptIsInAJobButNoRank) {
  const LaunchEnvironment launch =
      launch_of({{"SLURM_JOB_ID", "12"}, {"SLURM_PROCID", "0"}, {"SLURM_JOB_NUM_NODES", "3"}, {"SLURM_NTASKS", "6"}});
  EXPECT_EQ(launch.by, StartedBy::kNobody);
  EXPECT_EQ(launch.job.id, "12");
  EXPECT_EQ(launch.job.nodes, 3);
  EXPECT_EQ(launch.job.restart, 0);
  EXPECT_EQ(launch.target, "12");
}

TEST(Launch, TasksOfOneStepShareAToken) {
  std::map<std::string, std::string> task{{"SLURM_JOB_ID", "12"},
                                          {"SLURM_PROCID", "1"},
                                          {"SLURM_STEP_NUM_TASKS", "2"},
                                          {"SLURM_STEP_ID", "4"},
                                          {"SLURMD_NODENAME", "n2"}};
  const LaunchEnvironment launch = launch_of(task);
  EXPECT_EQ(launch.by, StartedBy::kSrun);
  EXPECT_EQ(launch.rank, 1);
  EXPECT_EQ(launch.size, 2);
  EXPECT_EQ(launch.host, "n2");
  EXPECT_FALSE(launch.wired);
  task["SLURM_PROCID"] = "0";
  EXPECT_EQ(launch_of(task).token, launch.token);
  task["PMIX_RANK"] = "1";
  EXPECT_TRUE(launch_of(task).wired);
  task["SLURM_STEP_ID"] = "5";
  EXPECT_NE(launch_of(task).token, launch.token);
}

TEST(Launch, UnderMpirunInAJobOpenMpiCounts) {
  const LaunchEnvironment launch = launch_of({{"SLURM_JOB_ID", "12"},
                                              {"SLURM_PROCID", "0"},
                                              {"SLURM_STEP_NUM_TASKS", "2"},
                                              {"OMPI_COMM_WORLD_RANK", "3"},
                                              {"OMPI_COMM_WORLD_SIZE", "4"},
                                              {"PMIX_NAMESPACE", "../17 3"}});
  EXPECT_EQ(launch.by, StartedBy::kMpirun);
  EXPECT_EQ(launch.rank, 3);
  EXPECT_EQ(launch.size, 4);
  EXPECT_EQ(launch.token, "mpirun-.._17_3");
}

TEST(Launch, MpirunOfOneRankInAStepOfManyIsNoTaskOfThatStep) {
  const LaunchEnvironment launch = launch_of({{"SLURM_JOB_ID", "12"},
                                              {"SLURM_PROCID", "0"},
                                              {"SLURM_STEP_NUM_TASKS", "4"},
                                              {"OMPI_COMM_WORLD_RANK", "0"},
                                              {"OMPI_COMM_WORLD_SIZE", "1"}});
  EXPECT_EQ(launch.by, StartedBy::kMpirun);
  EXPECT_EQ(launch.size, 1);
}

TEST(Launch, PlacesOnANodeAreOpenMpisOrElseSlurms) {
  LaunchEnvironment launch = launch_of({{"SLURM_LOCALID", "3"}, {"SLURM_STEP_TASKS_PER_NODE", "4(x2),1"}});
  EXPECT_EQ(launch.local_rank, 3);
  EXPECT_EQ(launch.ranks_on_node, 4);
  launch = launch_of({{"SLURM_LOCALID", "0"},
                      {"SLURM_STEP_TASKS_PER_NODE", "1"},
                      {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                      {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.ranks_on_node, 2);
}

TEST(Launch, TheFirstRankIsThatOfTheWireUp) {
  EXPECT_TRUE(launch_of({{"PMIX_RANK", "0"}}).first);
  EXPECT_FALSE(launch_of({{"PMI_RANK", "2"}}).first);
  EXPECT_FALSE(launch_of({{"OMPI_COMM_WORLD_RANK", "1"}, {"PMIX_RANK", "0"}}).first);
  EXPECT_TRUE(launch_of({{"SLURM_PROCID", "3"}}).first) << "may be of a job that is over";
}

TEST(Launch, AJobIsNamedByANumber) {
  const LaunchEnvironment launch = launch_of({{"SLURM_JOB_ID", "345"},
                                              {"SLURM_RESTART_COUNT", "2"},
                                              {"SLURM_JOB_NUM_NODES", "4"},
                                              {"SLURM_ARRAY_JOB_ID", "340"},
                                              {"SLURM_ARRAY_TASK_ID", "3"},
                                              {"SLURM_JOB_END_TIME", "1700000000"}});
  EXPECT_EQ(launch.job.id, "345");
  EXPECT_EQ(launch.job.restart, 2);
  EXPECT_EQ(launch.job.nodes, 4);
  EXPECT_EQ(launch.target, "340_3");
  EXPECT_EQ(launch.end_time, "1700000000");
  for (const char* id : {"", "345; rm -rf x", "-1", "3 4"}) EXPECT_FALSE(launch_of({{"SLURM_JOB_ID", id}}).job) << id;
}

TEST(Launch, VariablesOfNoJobAreNamed) {
  EXPECT_EQ(launch_of({{"SLURM_PROCID", "0"}}).stray, "SLURM_PROCID");
  EXPECT_EQ(launch_of({{"SLURM_PROCID", "0"}, {"SLURM_JOB_ID", "7"}}).stray, "");
  EXPECT_EQ(launch_of({{"SLURM_CONF", "/here"}}).stray, "");
}

TEST(Launch, NumbersOfSlurmsAreDigits) {
  EXPECT_EQ(slurm_number("0"), 0);
  EXPECT_EQ(slurm_number("1700000000"), 1700000000);
  for (const char* text : {"", "-5", "+5", " 5", "5 ", "5x", "x", "99999999999999999999"})
    EXPECT_FALSE(slurm_number(text)) << text;
}

}  // namespace
}  // namespace nexus
