#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
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

// A squeue that prints `text` if it is asked for job 345, and otherwise knows no such job.
void fake_squeue(const TempFolder& folder, const std::string& text, Variables& variables) {
  const std::string path = folder / "squeue";
  std::ofstream(path) << "#!/bin/sh\n[ \"$3\" = 345 ] && echo '" << text
                      << "' && exit\necho 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1\n";
  ::chmod(path.c_str(), 0755);
  variables.set("PATH", folder.path() + ":" + ::getenv("PATH"));
}

TEST(SlurmTime, IsReadInEveryFormThatSqueuePrints) {
  EXPECT_EQ(parse_slurm_time("1-02:03:04"), 86400 + 2 * 3600 + 3 * 60 + 4);
  EXPECT_EQ(parse_slurm_time("23:59:59"), 86399);
  EXPECT_EQ(parse_slurm_time("0:07"), 7);
  for (const char* text : {"UNLIMITED", "INVALID", "NOT_SET", "", "5", "1-", "1:2:3:4", "1:x", "-1:00", " 1:00"})
    EXPECT_FALSE(parse_slurm_time(text)) << text;
}

using Kind = QueueAnswer::Kind;

TEST(Queue, SaysHowLongAJobMayRunAndWhoseItIs) {
  const TempFolder folder;
  Variables variables;
  fake_squeue(folder, "345|RUNNING|1000|01:40", variables);
  const QueueAnswer answer = ask_queue({"345", 0, 1});
  EXPECT_EQ(answer.kind, Kind::kLives);
  EXPECT_EQ(answer.user, 1000);
  EXPECT_EQ(answer.seconds_left, 100);
  EXPECT_EQ(ask_queue({"346", 0, 1}).kind, Kind::kNoSuchJob);
  fake_squeue(folder, "345|RUNNING|1000|UNLIMITED", variables);
  EXPECT_EQ(ask_queue({"345", 0, 1}).seconds_left, std::numeric_limits<double>::infinity());
  fake_squeue(folder, "345|TIMEOUT|1000|0:00", variables);
  EXPECT_EQ(ask_queue({"345", 0, 1}).kind, Kind::kOver);
}

// The task that starts last bears the array's own number, and squeue names all tasks by it. Stale variables of an array
// do not matter: the number alone is asked for.
TEST(Queue, TellsTheTasksOfAnArrayApart) {
  const TempFolder folder;
  Variables variables;
  variables.set("SLURM_ARRAY_JOB_ID", "7");
  variables.set("SLURM_ARRAY_TASK_ID", "1");
  fake_squeue(folder, "343|COMPLETED|1000|0:00\n344|RUNNING|1000|09:00\n345|RUNNING|1000|05:00", variables);
  EXPECT_EQ(ask_queue({"345", 0, 1}).seconds_left, 300);
}

TEST(Queue, IsSilentWhereSlurmIsNotThereOrIsNotUnderstood) {
  const TempFolder folder;
  Variables variables;
  fake_squeue(folder, "something else", variables);
  EXPECT_EQ(ask_queue({"345", 0, 1}).kind, Kind::kSilent);
  std::ofstream(folder / "squeue") << "#!/bin/sh\necho 'Unable to contact slurm controller' >&2; exit 1\n";
  EXPECT_EQ(ask_queue({"345", 0, 1}).kind, Kind::kSilent);
  std::filesystem::remove(folder / "squeue");
  variables.set("PATH", folder.path());
  EXPECT_EQ(ask_queue({"345", 0, 1}).kind, Kind::kNoSlurm);
}

TEST(SlurmTime, ThatTheEnvironmentStatesCountsWhileItIsToCome) {
  Variables variables;
  variables.set("SLURM_JOB_END_TIME", std::to_string(::time(nullptr) + 5000));
  EXPECT_NEAR(stated_seconds_left().value(), 5000, 1000);
  for (const char* text : {"", "1700000000", "soon", "-5"}) {
    variables.set("SLURM_JOB_END_TIME", text);
    ::testing::internal::CaptureStderr();
    EXPECT_FALSE(stated_seconds_left()) << text;
    EXPECT_EQ(::testing::internal::GetCapturedStderr().find("SLURM_JOB_END_TIME") == std::string::npos, *text == 0);
  }
}

}  // namespace
}  // namespace nexus
