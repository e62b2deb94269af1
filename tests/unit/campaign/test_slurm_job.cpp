#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

#include "campaign/slurm_job.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

// Sets variables for one test.
class Variables {
 public:
  void set(const char* name, const std::string& value) {
    const char* old = ::getenv(name);
    kept_.emplace_back(name, old == nullptr ? std::nullopt : std::optional<std::string>(old));
    ::setenv(name, value.c_str(), 1);
  }
  ~Variables() {
    for (auto it = kept_.rbegin(); it != kept_.rend(); ++it)
      it->second ? ::setenv(it->first.c_str(), it->second->c_str(), 1) : ::unsetenv(it->first.c_str());
  }

 private:
  std::vector<std::pair<std::string, std::optional<std::string>>> kept_;
};

// A squeue that prints `text` if it is asked for job 345.
void fake_squeue(const TempFolder& folder, const std::string& text, Variables& variables) {
  const std::string path = folder / "squeue";
  std::ofstream(path) << "#!/bin/sh\n[ \"$3\" = 345 ] && echo '" << text << "'\n";
  ::chmod(path.c_str(), 0755);
  variables.set("PATH", folder.path() + ":" + ::getenv("PATH"));
}

TEST(SlurmJob, IsReadFromTheEnvironment) {
  Variables variables;
  variables.set("SLURM_JOB_ID", "");
  EXPECT_FALSE(slurm_job());
  variables.set("SLURM_JOB_ID", "345");
  variables.set("SLURM_RESTART_COUNT", "2");
  variables.set("SLURM_JOB_NUM_NODES", "4");
  const SlurmJob job = slurm_job();
  EXPECT_TRUE(job);
  EXPECT_EQ(job.id, "345");
  EXPECT_EQ(job.restart, 2);
  EXPECT_EQ(job.nodes, 4);
  variables.set("SLURM_JOB_ID", "345; rm -rf x");
  EXPECT_FALSE(slurm_job());
}

TEST(SlurmTime, IsReadInEveryFormThatSqueuePrints) {
  EXPECT_EQ(parse_slurm_time("1-02:03:04"), 86400 + 2 * 3600 + 3 * 60 + 4);
  EXPECT_EQ(parse_slurm_time("23:59:59"), 86399);
  EXPECT_EQ(parse_slurm_time("0:07"), 7);
  for (const char* text : {"UNLIMITED", "INVALID", "NOT_SET", "", "5", "1-", "1:2:3:4", "1:x", "-1:00", " 1:00"})
    EXPECT_FALSE(parse_slurm_time(text)) << text;
}

TEST(SlurmTime, LeftIsAskedOfSqueueFirst) {
  const TempFolder folder;
  Variables variables;
  variables.set("SLURM_JOB_END_TIME", "1");
  fake_squeue(folder, "01:40", variables);
  EXPECT_EQ(slurm_seconds_left({"345", 0, 1}), 100);
  EXPECT_FALSE(slurm_seconds_left({}));
  fake_squeue(folder, "UNLIMITED", variables);
  EXPECT_EQ(slurm_seconds_left({"345", 0, 1}), std::numeric_limits<double>::infinity());
}

TEST(SlurmTime, LeftComesFromTheEnvironmentWhereSqueueIsSilent) {
  const TempFolder folder;
  Variables variables;
  fake_squeue(folder, "01:40", variables);
  variables.set("SLURM_JOB_END_TIME", "1");
  EXPECT_LT(slurm_seconds_left({"346", 0, 1}).value(), 0);
  variables.set("SLURM_JOB_END_TIME", "soon");
  EXPECT_FALSE(slurm_seconds_left({"346", 0, 1}));
}

TEST(Singletons, AreToldFromAWorldAndFromASingleTask) {
  Variables variables;
  variables.set("OMPI_COMM_WORLD_SIZE", "");
  variables.set("SLURM_STEP_NUM_TASKS", "4");
  EXPECT_NE(singleton_trouble(1), "");
  EXPECT_EQ(singleton_trouble(4), "");
  variables.set("OMPI_COMM_WORLD_SIZE", "1");  // mpirun -n 1
  EXPECT_EQ(singleton_trouble(1), "");
  variables.set("OMPI_COMM_WORLD_SIZE", "");
  variables.set("SLURM_STEP_NUM_TASKS", "1");
  EXPECT_EQ(singleton_trouble(1), "");
}

}  // namespace
}  // namespace nexus
