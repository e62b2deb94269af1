#include "slurm/submit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/files.h"
#include "core/run_folder.h"
#include "support/expect_error.h"
#include "support/fake_slurm.h"
#include "unit/slurm/specs.h"

namespace nexus {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Submit : public testing::Test {
 protected:
  FakeSlurm slurm_;
  std::string run_ = slurm_.folder / "run";
  RenderInput input_ = render_input(two_stages(run_));
  RenderedJobs rendered_ = render_jobs(input_);

  std::vector<BookedJob> submit() { return submit_jobs(rendered_, rendered_.jobs); }
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
                     AllOf(HasSubstr("QOSMaxSubmitJobPerUserLimit"),
                           HasSubstr("the 1 submitted before it was cancelled"), HasSubstr("s1.sbatch")));
  EXPECT_THAT(slurm_.calls("scancel"), ElementsAre(ElementsAre("scancel", "101")));
  slurm_.file("fail_at", "");
  EXPECT_THAT(submit(), SizeIs(2));  // nothing stands in the way
  EXPECT_THAT(read_job_book(run_).jobs, SizeIs(3));
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
