#include "slurm/job_end.h"

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

class SlurmJobEnd : public testing::Test {
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
    for (const char* name : {"SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT",
                             "SLURM_JOB_RESERVATION", "SLURM_JOB_PARTITION"})
      ::unsetenv(name);
    lease("101", 0);
  }
  void queue(const std::string& state, const std::string& id = "101") {
    std::string text = id + "|" + state + "|None|1:00|1:00|N/A|n[1-2]|(null)|" + token_of(run_) + ":s0\n";
    for (const char* later : {"102", "103"})
      text += std::string(later) + "|PENDING|Dependency|0:00|1:00|N/A||(null)|" + token_of(run_) + ":s1\n";
    slurm_.file("queue", text);
  }
  // More in job 101's comment, and its excluded nodes.
  void note_in_queue(const std::string& note, const std::string& excluded = "(null)") {
    std::string text = read_text_file(slurm_.folder / "queue");
    const size_t end = text.find('\n');
    text =
        fmt::format("101|RUNNING|None|1:00|1:00|N/A|n1|{}|{}:s0{}", excluded, token_of(run_), note) + text.substr(end);
    slurm_.file("queue", text);
  }
  void lease(const std::string& job, int restart) { write_lease(run_, 1, job, restart); }
  int end_with(int code) {
    JobEndOptions options;
    options.run = run_;
    options.code = code;
    options.patience_seconds = 300;
    options.retry_seconds = 0.01;
    return end_job(options);
  }
  std::vector<Call> actions() {
    std::vector<Call> calls;
    for (const Call& call : slurm_.calls())
      if (call[0] == "scancel" || (call[0] == "scontrol" && call[1] != "show")) calls.push_back(call);
    return calls;
  }
};

TEST_F(SlurmJobEnd, AFinishedJobDoesNothing) {
  write_file_durably(run_ + "/STATUS", "done | stages 3 | exit 0 | generation 1 | job 101 restart 0\n");
  EXPECT_EQ(end_with(0), 0);
  EXPECT_THAT(slurm_.calls(), IsEmpty());
}

TEST_F(SlurmJobEnd, AStoppedJobQueuesItselfAgain) {
  EXPECT_EQ(end_with(75), 75);
  EXPECT_THAT(actions(), ElementsAre(ElementsAre("scontrol", "requeue", "101")));
}

TEST_F(SlurmJobEnd, AnArrayTaskQueuesOnlyItselfAgain) {
  ::setenv("SLURM_JOB_ID", "105", 1);
  ::setenv("SLURM_ARRAY_JOB_ID", "101", 1);
  ::setenv("SLURM_ARRAY_TASK_ID", "3", 1);
  lease("105", 0);
  queue("RUNNING", "101_3");
  EXPECT_EQ(end_with(75), 75);
  EXPECT_THAT(actions(), ElementsAre(ElementsAre("scontrol", "requeue", "101_3")));
}

TEST_F(SlurmJobEnd, TheEndOfTheBudgetCancelsTheRestOfTheChain) {
  EXPECT_EQ(end_with(5), 5);
  EXPECT_THAT(actions(), ElementsAre(ElementsAre("scancel", "102", "103")));
}

TEST_F(SlurmJobEnd, OnlyLiveJobsOfOursAreCancelled) {
  slurm_.file("queue",
              "102|RUNNING|None|1:00|1:00|N/A|n1|(null)|somebody's\n103|COMPLETED|None|1:00|1:00|N/A|n1|(null)|" +
                  token_of(run_) + ":s2\n");
  EXPECT_EQ(end_with(93), 93);
  EXPECT_THAT(actions(), IsEmpty());
}

TEST_F(SlurmJobEnd, AFencedCopyTouchesNothing) {
  EXPECT_EQ(end_with(77), 77);
  EXPECT_THAT(actions(), IsEmpty());
}

TEST_F(SlurmJobEnd, ACancelledJobIsNotRevived) {
  queue("COMPLETING");
  EXPECT_EQ(end_with(75), 75);
  EXPECT_THAT(actions(), IsEmpty());
}

TEST_F(SlurmJobEnd, ASuspectNodeIsExcludedBesidesThoseBefore) {
  write_file_durably(run_ + "/STATUS",
                     "nexus: error: GPU lost | reason device | node n2 | exit 76 | generation 1 | job 101 restart 0\n");
  EXPECT_EQ(end_with(1), 76);
  EXPECT_THAT(actions(), ElementsAre(ElementsAre("scontrol", "requeue", "101"),
                                     ElementsAre("scontrol", "update", "JobId=101", "ExcNodeList=n2")));
  slurm_.forget_calls();
  slurm_.file("queue", "101|RUNNING|None|1:00|1:00|N/A|n2|n7|" + token_of(run_) + ":s0\n");
  end_with(1);
  EXPECT_THAT(actions().back(), ElementsAre("scontrol", "update", "JobId=101", "ExcNodeList=n7,n2"));
}

TEST_F(SlurmJobEnd, TheLeaseTellsWhereStatusIsGone) {
  const LaunchEnd end{ExitCode::kHardware, "device", "n2"};
  write_lease(run_, 1, "101", 0, 1, 0, end);
  EXPECT_EQ(end_with(1), 76);
  EXPECT_THAT(actions(), ElementsAre(ElementsAre("scontrol", "requeue", "101"),
                                     ElementsAre("scontrol", "update", "JobId=101", "ExcNodeList=n2")));
  write_lease(run_, 1, "100", 0, 1, 0, end);
  slurm_.forget_calls();
  queue("RUNNING");
  ::setenv("SLURM_RESTART_COUNT", "0", 1);
  EXPECT_EQ(end_with(1), 137) << "it is of another job";
}

TEST_F(SlurmJobEnd, ASilentControllerIsAskedAgain) {
  slurm_.file("scontrol_failures", "3");
  EXPECT_EQ(end_with(75), 75);
  EXPECT_EQ(actions().size(), 4u);
  EXPECT_THAT(actions().back(), ElementsAre("scontrol", "requeue", "101"));
}

TEST_F(SlurmJobEnd, StartsWithoutALeaseAreCounted) {
  ASSERT_EQ(read_leases(RunFolder{run_}).size(), 1u);  // of restart 0
  ::setenv("SLURM_RESTART_COUNT", "3", 1);
  EXPECT_EQ(end_with(137), 93);
  EXPECT_THAT(actions(), ElementsAre(ElementsAre("scancel", "102", "103")));
}

// --- what cannot be read

// A folder in a file's place, and a file in a folder's: root reads what permissions forbid.
void make_unreadable(const std::string& run, const std::string& what) {
  std::filesystem::remove_all(run + "/" + what);
  if (what == "lease")
    write_file_durably(run + "/lease", "no folder");
  else
    std::filesystem::create_directory(run + "/" + what);
}

TEST_F(SlurmJobEnd, NothingUnreadableKeepsItFromDeciding) {
  const auto requeued = ElementsAre("scontrol", "requeue", "101");
  const auto noted = ElementsAre("scontrol", "update", "JobId=101", HasSubstr("/failed-0-1"));
  for (const std::string what : {"STATUS", "lease", "jobs.json"}) {
    std::filesystem::remove_all(run_);
    SetUp();
    make_unreadable(run_, what);
    for (const int code : {75, 74, 137, 0}) {
      SCOPED_TRACE(fmt::format("{} {}", what, code));
      queue("RUNNING");
      slurm_.forget_calls();
      EXPECT_EQ(end_with(code), code == 0 ? 137 : code);
      if (what == "lease" && code != 75)
        EXPECT_THAT(actions(), ElementsAre(noted, requeued));
      else
        EXPECT_THAT(actions(), ElementsAre(requeued));  // a lease that can be read counts this start
    }
    queue("RUNNING");
    slurm_.forget_calls();
    EXPECT_EQ(end_with(5), 5) << what;
    if (what == "jobs.json")
      EXPECT_THAT(actions(), IsEmpty());
    else
      EXPECT_THAT(actions(), ElementsAre(ElementsAre("scancel", "102", "103"))) << what;
  }
}

TEST_F(SlurmJobEnd, AMalformedRecordOfJobsLeavesTheLaterOnesToSlurm) {
  write_file_durably(run_ + "/jobs.json", "{\"jobs\": [{\"id\": 7");
  testing::internal::CaptureStderr();
  EXPECT_EQ(end_with(93), 93);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("the record of later jobs cannot be read"));
  EXPECT_THAT(actions(), IsEmpty());
}

// However often the job was started before: only starts in a row of which nothing is known count.
TEST_F(SlurmJobEnd, WhereNothingCanBeReadTheJobsCommentKeepsTheCount) {
  std::filesystem::remove_all(run_);  // not mounted on this node
  const std::string comment = token_of(run_) + ":s0";
  for (int64_t failed = 1; failed <= 2; ++failed) {
    slurm_.forget_calls();
    queue("RUNNING");
    if (failed == 2) note_in_queue("/failed-7-1");
    ::setenv("SLURM_RESTART_COUNT", std::to_string(6 + failed).c_str(), 1);
    EXPECT_EQ(end_with(74), 74);
    EXPECT_THAT(actions(), ElementsAre(ElementsAre("scontrol", "update", "JobId=101",
                                                   fmt::format("Comment={}/failed-{}-{}", comment, 6 + failed, failed)),
                                       ElementsAre("scontrol", "requeue", "101")));
  }
  slurm_.forget_calls();
  queue("RUNNING");
  note_in_queue("/failed-8-2");
  ::setenv("SLURM_RESTART_COUNT", "9", 1);
  EXPECT_EQ(end_with(74), 93);
  EXPECT_THAT(actions(), IsEmpty());
}

TEST_F(SlurmJobEnd, AFailedStartThatCannotBeCountedIsNotRepeated) {
  std::filesystem::remove_all(run_);
  slurm_.file("queue", "");
  EXPECT_EQ(end_with(74), 74);
  EXPECT_THAT(actions(), IsEmpty());
}

TEST_F(SlurmJobEnd, AStartThatSlurmHasReplacedTouchesNothingEvenIfNothingCanBeRead) {
  std::filesystem::remove_all(run_);
  std::string squeue = read_text_file(slurm_.bin() + "/squeue");
  slurm_.program("squeue", squeue.substr(0, squeue.rfind("cat ")) +
                               "[[ \"$*\" != *RestartCnt* ]] || { echo '2         '; exit; }\ncat \"$F/queue\"\n");
  ::setenv("SLURM_RESTART_COUNT", "1", 1);
  EXPECT_EQ(end_with(137), 77);
  EXPECT_THAT(actions(), IsEmpty());
  ::setenv("SLURM_RESTART_COUNT", "2", 1);
  EXPECT_EQ(end_with(137), 137);
  EXPECT_EQ(actions().size(), 2u);
}

// The newest lease may be a torn file; whose it is is then not known, and an older owner's word must not stand for it.
TEST_F(SlurmJobEnd, ATornLeaseIsNobodysLease) {
  write_file_durably(run_ + "/lease/000002.json", "{\"gener");
  EXPECT_EQ(end_with(137), 137);
  EXPECT_THAT(actions(), ElementsAre(ElementsAre("scontrol", "update", "JobId=101", HasSubstr("/failed-0-1")),
                                     ElementsAre("scontrol", "requeue", "101")))
      << "not left to another owner";
}

// --- another node

TEST_F(SlurmJobEnd, AFailedStartOnOneNodeGetsAnotherOne) {
  ::setenv("SLURM_JOB_NODELIST", "n1", 1);
  ::setenv("SLURM_JOB_PARTITION", "gpu", 1);
  ::setenv("SLURM_RESTART_COUNT", "1", 1);
  slurm_.file("nodes", "n1|idle|8|1|(null)|(null)\nn2|idle|8|1|(null)|(null)\n");
  EXPECT_EQ(end_with(74), 74);
  EXPECT_THAT(actions(), ElementsAre(ElementsAre("scontrol", "requeue", "101"),
                                     ElementsAre("scontrol", "update", "JobId=101", "ExcNodeList=n1")));
  EXPECT_THAT(slurm_.calls("sinfo"), ElementsAre(testing::Contains("--partition=gpu")));
  for (const int code : {75, 143}) {  // told to end: the node is not suspect
    queue("RUNNING");
    slurm_.forget_calls();
    EXPECT_EQ(end_with(code), code);
    EXPECT_THAT(actions(), ElementsAre(ElementsAre("scontrol", "requeue", "101")));
    EXPECT_THAT(slurm_.calls("sinfo"), IsEmpty());
  }
  queue("RUNNING");
  note_in_queue("", "n2");  // that one is excluded already
  slurm_.forget_calls();
  EXPECT_EQ(end_with(74), 74);
  EXPECT_THAT(actions(), ElementsAre(ElementsAre("scontrol", "requeue", "101")));
  ::setenv("SLURM_JOB_RESERVATION", "r", 1);
  queue("RUNNING");
  slurm_.forget_calls();
  EXPECT_EQ(end_with(74), 74);
  EXPECT_THAT(actions(), ElementsAre(ElementsAre("scontrol", "requeue", "101"))) << "which nodes has the reservation?";
}

TEST_F(SlurmJobEnd, IsRefusedOutsideOfAJob) {
  ::unsetenv("SLURM_JOB_ID");
  EXPECT_NEXUS_ERROR(end_with(0), ErrorKind::kConfig, HasSubstr("SLURM_JOB_ID"));
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
