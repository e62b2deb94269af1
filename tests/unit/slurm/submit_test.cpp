#include "slurm/submit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/files.h"
#include "core/run_folder.h"
#include "support/commit_state.h"
#include "support/expect_error.h"
#include "support/fake_slurm.h"
#include "unit/slurm/specs.h"

namespace nexus {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class Submit : public testing::Test {
 protected:
  FakeSlurm slurm_;
  std::string run_ = slurm_.folder / "run";
  RenderInput input_ = render_input(two_stages(run_));
  RenderedJobs rendered_ = render_jobs(input_);

  // The second look for lost jobs follows at once.
  std::vector<BookedJob> submit() { return submit_jobs(rendered_, rendered_.jobs, 0); }
  void queue(const std::string& lines) { slurm_.file("queue", lines); }
};

std::string row(const std::string& id, const std::string& state, const std::string& comment) {
  return id + "|" + state + "|None|0:00|1:00:00|N/A||(null)|" + comment + "\n";
}

TEST_F(Submit, AChainIsSubmittedInOrderAndRecorded) {
  const std::vector<BookedJob> jobs = submit();
  ASSERT_THAT(jobs, SizeIs(2));
  const std::string token = token_of(run_);
  EXPECT_THAT(slurm_.calls("sbatch"),
              ElementsAre(ElementsAre("sbatch", "--parsable", "--comment=" + token + ":s0", run_ + "/slurm/s0.sbatch"),
                          ElementsAre("sbatch", "--parsable", "--comment=" + token + ":s1", "--dependency=afterok:101",
                                      run_ + "/slurm/s1.sbatch")));
  const JobBook book = read_job_book(run_);
  EXPECT_EQ(book.cluster, "small");
  EXPECT_EQ(book.run, run_);
  ASSERT_THAT(book.jobs, SizeIs(2));
  EXPECT_EQ(book.jobs[1].id, "102");
  EXPECT_EQ(book.jobs[1].after, "101");
  EXPECT_EQ(book.jobs[1].stage, "s1");
  EXPECT_THAT(book.later_than("101"), ElementsAre("102"));
  EXPECT_THAT(book.later_than("102"), IsEmpty());
  EXPECT_EQ(read_text_file(run_ + "/slurm/campaign.yaml"), "name: tiny\n");
  EXPECT_TRUE(path_exists(run_ + "/logs"));
}

TEST_F(Submit, ASecondSubmissionIsRefusedWhileJobsLive) {
  submit();
  slurm_.forget_calls();
  EXPECT_NEXUS_ERROR(submit(), ErrorKind::kConfig, AllOf(HasSubstr("101 s0 PENDING"), HasSubstr("nexus slurm cancel")));
  EXPECT_THAT(slurm_.calls("sbatch"), IsEmpty());
}

TEST_F(Submit, JobsThatACrashLeftUnrecordedCountToo) {
  queue(row("77", "RUNNING", token_of(run_) + ":s0"));
  EXPECT_NEXUS_ERROR(submit(), ErrorKind::kConfig, HasSubstr("77 s0 RUNNING"));
  EXPECT_THAT(slurm_.calls("sbatch"), IsEmpty());
}

TEST_F(Submit, EndedJobsAndOthersDoNotStandInTheWay) {
  queue(row("77", "TIMEOUT", token_of(run_) + ":s0") + row("78", "RUNNING", token_of(run_ + "x") + ":s0") +
        row("79", "RUNNING", "a|b " + token_of(run_) + ":s0") + "garbage\n");
  EXPECT_THAT(submit(), SizeIs(2));
  EXPECT_THAT(submit_jobs(render_jobs(render_input(two_stages(run_ + "2"))), rendered_.jobs), SizeIs(2));
}

TEST_F(Submit, ARefusedJobTakesTheChainBeforeItBack) {
  slurm_.file("fail_at", "2");
  EXPECT_NEXUS_ERROR(submit(), ErrorKind::kIo,
                     AllOf(HasSubstr("QOSMaxSubmitJobPerUserLimit"), HasSubstr("cancelled again: 101;"),
                           HasSubstr("s1.sbatch"), HasSubstr("slurm.chain: campaign")));
  EXPECT_THAT(slurm_.calls("scancel"), ElementsAre(ElementsAre("scancel", "101")));
  slurm_.file("fail_at", "");
  EXPECT_THAT(submit(), SizeIs(2));  // nothing stands in the way
  EXPECT_THAT(read_job_book(run_).jobs, SizeIs(3));
}

TEST_F(Submit, AFirstJobThatIsRefusedLeavesNothingToCancel) {
  slurm_.file("fail_at", "1");
  EXPECT_NEXUS_ERROR(submit(), ErrorKind::kIo, HasSubstr("no job of this chain is in the queue;"));
  EXPECT_THAT(slurm_.calls("scancel"), IsEmpty());
}

TEST_F(Submit, AJobWhoseAnswerIsLostIsFoundAndCancelledToo) {
  for (const char* loss : {"echo 'sbatch: error: Socket timed out on send/recv operation' >&2; exit 1", "exit 0",
                           "echo 'Submitted, thank you'; exit 0"}) {
    SCOPED_TRACE(loss);
    slurm_.file("queue", "");
    slurm_.file("count", "0");
    slurm_.file("after_sbatch", fmt::format("((n < 2)) || {{ {}; }}\n", loss));
    slurm_.forget_calls();
    EXPECT_NEXUS_ERROR(submit(), ErrorKind::kIo,
                       AllOf(HasSubstr("cancelled again: 101, 102;"), HasSubstr("s1.sbatch")));
    EXPECT_THAT(slurm_.calls("scancel"), ElementsAre(ElementsAre("scancel", "101", "102")));
  }
}

TEST_F(Submit, AJobThatTheControllerTakesInLateIsFoundBySecondLook) {
  slurm_.file("after_sbatch",
              "((n < 2)) || { sed -i '$d' \"$F/queue\"; (until grep -aq scancel \"$F/calls\"; do sleep 0.02; done; "
              "sleep 0.2; echo '102|PENDING|x|0|0|N/A||(null)|" +
                  token_of(run_) + ":s1' >>\"$F/queue\") >&- 2>&- <&- & exit 1; }\n");
  // Five times the delay of the queue.
  EXPECT_NEXUS_ERROR(submit_jobs(rendered_, rendered_.jobs, 1), ErrorKind::kIo,
                     HasSubstr("cancelled again: 101, 102;"));
  EXPECT_THAT(slurm_.calls("scancel"), ElementsAre(ElementsAre("scancel", "101"), ElementsAre("scancel", "102")));
}

TEST_F(Submit, JobsThatCannotBeRecordedAreCancelled) {
  slurm_.file("after_sbatch", "((n < 2)) || { rm '" + run_ + "/jobs.json'; mkdir '" + run_ + "/jobs.json'; }\n");
  EXPECT_NEXUS_ERROR(submit(), ErrorKind::kData,
                     AllOf(HasSubstr("cancelled again: 101, 102;"), HasSubstr("jobs.json"), Not(HasSubstr("chain:"))));
  EXPECT_THAT(slurm_.calls("scancel"), ElementsAre(ElementsAre("scancel", "101", "102")));
}

TEST_F(Submit, WhatWasInTheQueueBeforeIsNotTakenBack) {
  const std::string own = token_of(run_) + ":s0";
  queue(row("77", "NODE_FAIL", own) + row("78_1", "PREEMPTED", own) +
        row("79", "RUNNING", token_of(run_ + "x") + ":s0"));
  // Slurm revives two of them in the midst of it.
  slurm_.file("after_sbatch", "((n < 2)) || { sed -i 's/NODE_FAIL\\|PREEMPTED/PENDING/' \"$F/queue\"; exit 1; }\n");
  EXPECT_NEXUS_ERROR(submit(), ErrorKind::kIo, HasSubstr("cancelled again: 101, 102;"));
  EXPECT_THAT(slurm_.calls("scancel"), ElementsAre(ElementsAre("scancel", "101", "102")));
  EXPECT_THAT(read_text_file(slurm_.folder / "queue"), HasSubstr("77|PENDING"));
}

TEST_F(Submit, JobsOfOtherRunsThatComeMeanwhileAreNotTakenBack) {
  slurm_.file("after_sbatch", "((n < 2)) || { echo '" + row("200", "PENDING", token_of(run_ + "x") + ":s0") +
                                  "201|PENDING|x|0|0|N/A||(null)|(null)' >>\"$F/queue\"; exit 1; }\n");
  EXPECT_NEXUS_ERROR(submit(), ErrorKind::kIo, HasSubstr("cancelled again: 101, 102;"));
  EXPECT_THAT(slurm_.calls("scancel"), ElementsAre(ElementsAre("scancel", "101", "102")));
}

TEST_F(Submit, KnownJobsAreCancelledWhereTheQueueCannotBeRead) {
  slurm_.file("after_sbatch", "((n < 2)) || { touch \"$F/squeue_down\"; exit 1; }\n");
  EXPECT_NEXUS_ERROR(submit(), ErrorKind::kIo,
                     AllOf(HasSubstr("cancelled again: 101, jobs whose ids were not read may be left in the queue "
                                     "(squeue: Slurm refused: Unable to contact"),
                           HasSubstr("`nexus slurm cancel " + run_ + "` finds and ends what is left")));
  std::filesystem::remove(slurm_.folder / "squeue_down");
  EXPECT_THAT(cancel_jobs(run_), SizeIs(1));  // the command keeps its word
  EXPECT_THAT(slurm_.calls("scancel").back(), ElementsAre("scancel", "102"));
}

TEST_F(Submit, JobsThatCannotBeCancelledAreNamed) {
  slurm_.file("after_sbatch", "((n < 2)) || { touch \"$F/scancel_down\"; exit 1; }\n");
  EXPECT_NEXUS_ERROR(submit(), ErrorKind::kIo,
                     AllOf(HasSubstr("; 101, 102 may be left in the queue (scancel: Slurm refused: Unable to contact"),
                           HasSubstr("`nexus slurm cancel " + run_ + "`")));
}

TEST_F(Submit, NothingIsSubmittedWhereTheQueueCannotBeRead) {
  slurm_.file("down", "");
  EXPECT_NEXUS_ERROR(submit(), ErrorKind::kIo, HasSubstr("Unable to contact slurm controller"));
  EXPECT_THAT(slurm_.calls("sbatch"), IsEmpty());
}

TEST_F(Submit, ADryRunChangesNothing) {
  const std::string text = describe_submission(rendered_, rendered_.jobs);
  EXPECT_THAT(text, AllOf(HasSubstr("sbatch --parsable"), HasSubstr("afterok:<id of slurm/s0.sbatch>"),
                          HasSubstr("#SBATCH --job-name=tiny.s1")));
  EXPECT_FALSE(path_exists(run_));
  EXPECT_THAT(slurm_.calls(), IsEmpty());
}

TEST_F(Submit, AllIsLeftToDoOfANewRun) {
  EXPECT_EQ(finished_stages(input_.tasks[0].spec), 0u);
  EXPECT_THAT(open_jobs(input_, rendered_), SizeIs(2));
}

TEST_F(Submit, StagesThatAreDoneAreNotSubmitted) {
  commit_state(run_, 0, 10);
  EXPECT_THAT(open_jobs(input_, rendered_), ElementsAre(Field(&RenderedJob::stage, "s1")));
  commit_state(run_, 1, 10);
  EXPECT_THAT(open_jobs(input_, rendered_), IsEmpty());
}

TEST_F(Submit, AStageThatOwesItsLastEvaluationIsNotDone) {
  commit_state(run_, 0, 10, /*eval_pending=*/true);
  EXPECT_THAT(open_jobs(input_, rendered_), SizeIs(2));
  commit_state(run_, 0, 10);
  commit_state(run_, 1, 10, /*eval_pending=*/true);
  EXPECT_THAT(open_jobs(input_, rendered_), ElementsAre(Field(&RenderedJob::stage, "s1")));
}

TEST_F(Submit, RenderingAgainWritesNothing) {
  EXPECT_EQ(write_rendered(rendered_), 3);
  EXPECT_EQ(write_rendered(rendered_), 0);
  write_file_durably(run_ + "/slurm/s0.sbatch", "edited\n");
  EXPECT_EQ(write_rendered(rendered_), 1);
}

TEST_F(Submit, CancelEndsOurLiveJobsAndNoOthers) {
  submit();
  const std::string mine = read_text_file(slurm_.folder / "queue");
  queue(row("90", "COMPLETED", token_of(run_) + ":s0") + row("91", "RUNNING", token_of(run_ + "x") + ":s0") +
        row("92", "RUNNING", "(null)") + mine + row("93", "RUNNING", token_of(run_) + ":s1"));
  EXPECT_THAT(cancel_jobs(run_), SizeIs(3));
  EXPECT_THAT(slurm_.calls("scancel"), ElementsAre(ElementsAre("scancel", "101", "102", "93")));
  slurm_.forget_calls();
  EXPECT_THAT(cancel_jobs(run_), IsEmpty());
  EXPECT_THAT(slurm_.calls("scancel"), IsEmpty());
}

TEST_F(Submit, AJobIdThatWasUsedAgainIsNotOurs) {
  submit();
  queue(row("101", "RUNNING", "nexus:0000000000000000:s0") + row("102", "RUNNING", "(null)"));
  EXPECT_THAT(cancel_jobs(run_), IsEmpty());
}

TEST_F(Submit, ACopiedRunFolderDoesNotInheritTheJobs) {
  submit();
  std::filesystem::copy(run_, run_ + "-copy", std::filesystem::copy_options::recursive);
  EXPECT_THAT(cancel_jobs(run_ + "-copy"), IsEmpty());
  EXPECT_THAT(slurm_.calls("scancel"), IsEmpty());
}

TEST_F(Submit, ArrayTasksAreRecordedInTheirOwnRunFolders) {
  input_.array = true;
  input_.home = run_;
  input_.tasks = {{two_stages(run_ + "-seed1"), "a\n"}, {two_stages(run_ + "-seed2"), "b\n"}};
  input_.throttle = 1;
  rendered_ = render_jobs(input_);
  EXPECT_THAT(submit(), SizeIs(1));
  EXPECT_EQ(read_job_book(run_).jobs.at(0).id, "101");
  EXPECT_EQ(read_job_book(run_ + "-seed2").jobs.at(0).id, "101_1");
  EXPECT_EQ(read_text_file(run_ + "-seed2/slurm/campaign.yaml"), "b\n");
  const std::string comment = token_of(run_) + ":array";
  queue(row("101_0", "RUNNING", comment) + row("101_1", "RUNNING", comment));
  EXPECT_NEXUS_ERROR(submit(), ErrorKind::kConfig, HasSubstr("101_0 array RUNNING"));
  EXPECT_THAT(cancel_jobs(run_ + "-seed2"), SizeIs(1));
  EXPECT_THAT(slurm_.calls("scancel"), ElementsAre(ElementsAre("scancel", "101_1")));
  EXPECT_THAT(cancel_jobs(run_), SizeIs(1));
}

TEST_F(Submit, ADamagedRecordIsRefused) {
  std::filesystem::create_directories(run_);
  write_file_durably(run_ + "/jobs.json", "{\"jobs\": [{}]}");
  EXPECT_NEXUS_ERROR(submit(), ErrorKind::kData, HasSubstr("jobs.json"));
}

}  // namespace
}  // namespace nexus
