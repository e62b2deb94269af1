#include "slurm/settle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/files.h"
#include "slurm/job_book.h"
#include "support/expect_error.h"
#include "support/fake_slurm.h"

namespace nexus {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SettleJob : public testing::Test {
 protected:
  FakeSlurm slurm_;
  std::string run_ = slurm_.folder / "run";

  void SetUp() override {
    std::filesystem::create_directories(run_ + "/lease");
    slurm_.file("hostnames", "n1\nn2\n");
    write_job_book(run_, {run_,
                          token_of(run_),
                          "small",
                          {{"101", "s0", "", "x", 0}, {"102", "s1", "101", "x", 0}, {"103", "s2", "102", "x", 0}}});
    queue("RUNNING");
    ::setenv("SLURM_JOB_ID", "101", 1);
    ::setenv("SLURM_JOB_NODELIST", "n[1-2]", 1);
    for (const char* name : {"SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT"}) ::unsetenv(name);
    lease("101", 0);
  }
  void queue(const std::string& state, const std::string& id = "101") {
    std::string text = id + "|" + state + "|None|1:00|1:00|N/A|n[1-2]|(null)|" + token_of(run_) + ":s0\n";
    for (const char* later : {"102", "103"})
      text += std::string(later) + "|PENDING|Dependency|0:00|1:00|N/A||(null)|" + token_of(run_) + ":s1\n";
    slurm_.file("queue", text);
  }
  void lease(const std::string& job, int restart) { write_lease(run_, 1, job, restart); }
  int settle_with(int code) {
    SettleOptions options;
    options.run = run_;
    options.code = code;
    options.patience_seconds = 5;
    options.retry_seconds = 0.01;
    return settle(options);
  }
  std::vector<Call> actions() {
    std::vector<Call> calls;
    for (const Call& call : slurm_.calls())
      if (call[0] == "scancel" || (call[0] == "scontrol" && call[1] != "show")) calls.push_back(call);
    return calls;
  }
};

TEST_F(SettleJob, AFinishedJobDoesNothing) {
  write_file_durably(run_ + "/STATUS", "done | stages 3 | exit 0 | generation 1 | job 101 restart 0\n");
  EXPECT_EQ(settle_with(0), 0);
  EXPECT_THAT(slurm_.calls(), IsEmpty());
}

TEST_F(SettleJob, AStoppedJobQueuesItselfAgain) {
  EXPECT_EQ(settle_with(75), 75);
  EXPECT_THAT(actions(), ElementsAre(ElementsAre("scontrol", "requeue", "101")));
}

TEST_F(SettleJob, AnArrayTaskQueuesOnlyItselfAgain) {
  ::setenv("SLURM_JOB_ID", "105", 1);
  ::setenv("SLURM_ARRAY_JOB_ID", "101", 1);
  ::setenv("SLURM_ARRAY_TASK_ID", "3", 1);
  lease("105", 0);
  queue("RUNNING", "101_3");
  EXPECT_EQ(settle_with(75), 75);
  EXPECT_THAT(actions(), ElementsAre(ElementsAre("scontrol", "requeue", "101_3")));
}

TEST_F(SettleJob, TheEndOfTheBudgetCancelsTheRestOfTheChain) {
  EXPECT_EQ(settle_with(5), 5);
  EXPECT_THAT(actions(), ElementsAre(ElementsAre("scancel", "102", "103")));
}

TEST_F(SettleJob, OnlyLiveJobsOfOursAreCancelled) {
  slurm_.file("queue",
              "102|RUNNING|None|1:00|1:00|N/A|n1|(null)|somebody's\n103|COMPLETED|None|1:00|1:00|N/A|n1|(null)|" +
                  token_of(run_) + ":s2\n");
  EXPECT_EQ(settle_with(93), 93);
  EXPECT_THAT(actions(), IsEmpty());
}

TEST_F(SettleJob, AFencedCopyTouchesNothing) {
  EXPECT_EQ(settle_with(77), 77);
  EXPECT_THAT(actions(), IsEmpty());
}

TEST_F(SettleJob, ACancelledJobIsNotRevived) {
  queue("COMPLETING");
  EXPECT_EQ(settle_with(75), 75);
  EXPECT_THAT(actions(), IsEmpty());
}

TEST_F(SettleJob, ASuspectNodeIsExcludedBesidesThoseBefore) {
  write_file_durably(run_ + "/STATUS",
                     "nexus: error: GPU lost; n2; look at it | exit 76 | generation 1 | job 101 restart 0\n");
  EXPECT_EQ(settle_with(1), 76);
  EXPECT_THAT(actions(), ElementsAre(ElementsAre("scontrol", "requeue", "101"),
                                     ElementsAre("scontrol", "update", "JobId=101", "ExcNodeList=n2")));
  slurm_.forget_calls();
  slurm_.file("queue", "101|RUNNING|None|1:00|1:00|N/A|n2|n7|" + token_of(run_) + ":s0\n");
  settle_with(1);
  EXPECT_THAT(actions().back(), ElementsAre("scontrol", "update", "JobId=101", "ExcNodeList=n7,n2"));
}

TEST_F(SettleJob, ASilentControllerIsAskedAgain) {
  slurm_.file("scontrol_failures", "3");
  EXPECT_EQ(settle_with(75), 75);
  EXPECT_EQ(actions().size(), 4u);
  EXPECT_THAT(actions().back(), ElementsAre("scontrol", "requeue", "101"));
}

TEST_F(SettleJob, StartsInVainAreCounted) {
  const std::vector<LeaseRecord> leases = read_leases(RunFolder{run_});
  ASSERT_EQ(leases.size(), 1u);
  EXPECT_EQ(vain_starts(leases, {"101", 0}), 0);
  EXPECT_EQ(vain_starts(leases, {"101", 2}), 2);
  EXPECT_EQ(vain_starts(leases, {"104", 2}), 3);
  ::setenv("SLURM_RESTART_COUNT", "3", 1);
  EXPECT_EQ(settle_with(137), 93);
  EXPECT_THAT(actions(), ElementsAre(ElementsAre("scancel", "102", "103")));
}

TEST_F(SettleJob, OutsideOfAJobThereIsNothingToSettle) {
  ::unsetenv("SLURM_JOB_ID");
  EXPECT_NEXUS_ERROR(settle_with(0), ErrorKind::kConfig, HasSubstr("SLURM_JOB_ID"));
}

TEST(Replaced, ByALaterStartOrByAnotherJobAfterThisStart) {
  const auto lease = [](const std::string& job, int64_t restart) {
    LeaseRecord record;
    record.job = {job, restart, 1};
    return record;
  };
  const SlurmJob job{"7", 1, 1};
  EXPECT_FALSE(is_replaced({}, job));
  EXPECT_FALSE(is_replaced({lease("7", 0), lease("7", 1)}, job));
  EXPECT_FALSE(is_replaced({lease("6", 0)}, job)) << "this start never opened the run: the last owner is of before";
  EXPECT_TRUE(is_replaced({lease("7", 1), lease("7", 2)}, job));
  EXPECT_TRUE(is_replaced({lease("7", 1), lease("8", 0)}, job));
}

}  // namespace
}  // namespace nexus
