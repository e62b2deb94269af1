#include "study/study_jobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "config/study.h"
#include "core/files.h"
#include "core/run_folder.h"
#include "records/status_record.h"
#include "slurm/submit.h"
#include "study/study_status.h"
#include "support/expect_error.h"
#include "support/fake_slurm.h"

namespace nexus {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

// A trunk, two arms that start from it and one that stands alone, under two seeds.
class StudyJobs : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(slurm_.folder / "base.yaml")
        << "name: base\nout: x\nmodel: {D: 32, L: 2, H: 2, M: 48, A: 64, F: 72, V: 300}\ndata: {context: 32}\n"
           "batch: {global_tokens: 256, micro: 2}\nstages: [{name: s0, tokens: 2560, lr: {peak: 1e-3}}]\n";
    study_ = load("");
    cluster_.name = "small";
  }

  StudySpec load(const std::string& more) const {
    const std::string stage = "set: {stages: [{name: s1, tokens: 512, lr: {peak: 1e-3}}]}";
    return load_study_text("study: s\nbase: " + (slurm_.folder / "base.yaml") + "\nout: " + out_ +
                               "\nseeds: [1, 2]\nparents: {trunk: {}}\narms:\n  a: {from: trunk, " + stage +
                               "}\n  alone: {}\n  b: {from: trunk, " + stage + "}\n" + more,
                           "study.yaml");
  }

  RenderInput input() const { return render_input(study_, cluster_, 3, queue_of(study_)); }
  std::vector<BookedJob> submit() const {
    const RenderedJobs rendered = render_jobs(input());
    return submit_jobs(rendered, rendered.jobs, 0);
  }
  std::vector<std::string> names(const RenderInput& input) const {
    std::vector<std::string> names;
    for (const RenderTask& task : input.tasks)
      names.push_back(fmt::format("{} {}", task.generation, task.spec.out.substr(out_.size() + 1)));
    return names;
  }
  std::string row(const std::string& id, const std::string& state, int generation) const {
    return fmt::format("{}|{}|None|0:00|1:00:00|N/A||(null)|{}:array{}\n", id, state, token_of(out_),
                       generation == 0 ? "" : fmt::format("-{}", generation));
  }
  // The queue after `submit`: a trunk that has failed, one that runs, the tasks alone done, and all arms waiting.
  void queue_of_first_submission() {
    std::string text = row("101_0", "FAILED", 0) + row("101_1", "RUNNING", 0) + row("101_2", "COMPLETED", 0) +
                       row("101_3", "COMPLETED", 0);
    for (int i = 0; i < 4; ++i) text += row(fmt::format("102_{}", i), "PENDING", 1);
    slurm_.file("queue", text);
    for (const int seed : {1, 2}) finish(fmt::format("alone/seed-{}", seed));
  }
  // As `nexus train` leaves a run that is done.
  void finish(const std::string& run) const {
    const std::string folder = out_ + "/" + run;
    std::filesystem::create_directories(folder);
    for (const StudyRun& each : runs_of(study_))
      if (each.folder == folder)
        write_file_durably(RunFolder{folder}.resolved_config(), campaign_of(study_, each).resolved_yaml);
    write_file_durably(RunFolder{folder}.status(),
                       status_text({"done", LaunchEnd{ExitCode::kDone, kReasonDone, ""}, {}}));
  }

  FakeSlurm slurm_;
  std::string out_ = slurm_.folder / "study";
  StudySpec study_;
  ClusterSpec cluster_;
};

TEST_F(StudyJobs, AreAnArrayForEachGenerationWithAThrottle) {
  EXPECT_THAT(names(input()), ElementsAre("0 trunk/seed-1", "0 trunk/seed-2", "1 a/seed-1", "1 a/seed-2",
                                          "0 alone/seed-1", "0 alone/seed-2", "1 b/seed-1", "1 b/seed-2"));
  EXPECT_THAT(submit(), SizeIs(2));
  const std::string token = token_of(out_);
  EXPECT_THAT(
      slurm_.calls("sbatch"),
      ElementsAre(ElementsAre("sbatch", "--parsable", "--comment=" + token + ":array", out_ + "/slurm/array.sbatch"),
                  ElementsAre("sbatch", "--parsable", "--comment=" + token + ":array-1", "--dependency=afterany:101",
                              out_ + "/slurm/array-1.sbatch")));
  const std::string script = read_text_file(out_ + "/slurm/array-1.sbatch");
  EXPECT_THAT(script, AllOf(HasSubstr("--job-name=s.array-1\n"), HasSubstr("--array=0-3%3\n"),
                            HasSubstr("/b/seed-2\n)"), Not(HasSubstr("trunk"))));
  EXPECT_THAT(read_text_file(out_ + "/b/seed-1/slurm/campaign.yaml"),
              HasSubstr("init_from: " + out_ + "/trunk/seed-1"));
  EXPECT_EQ(read_job_book(out_ + "/b/seed-1").jobs.at(0).id, "102_2");
  EXPECT_THAT(read_job_book(out_).tasks, SizeIs(8));
}

TEST_F(StudyJobs, OfRunsThatWaitRunOrAreDoneAreNotSubmittedAgain) {
  submit();
  queue_of_first_submission();
  EXPECT_THAT(names(input()), ElementsAre("0 trunk/seed-1"));
  EXPECT_THAT(submit(), SizeIs(1));
  EXPECT_EQ(read_job_book(out_ + "/trunk/seed-1").jobs.back().id, "103_0");
  slurm_.file("queue", read_text_file(slurm_.folder / "queue") + row("103_0", "PENDING", 0));
  EXPECT_THAT(input().tasks, IsEmpty());
  EXPECT_THAT(read_job_book(out_).tasks, SizeIs(8));  // `slurm status` goes on showing all
}

TEST_F(StudyJobs, AlsoWaitForParentsInTheQueue) {
  submit();
  queue_of_first_submission();
  EXPECT_THAT(cancel_jobs(out_ + "/a/seed-2"), SizeIs(1));
  EXPECT_THAT(names(input()), ElementsAre("0 trunk/seed-1", "1 a/seed-2"));
  slurm_.forget_calls();
  submit();
  EXPECT_THAT(slurm_.calls("sbatch").back(), testing::Contains("--dependency=afterany:103:101_1"));
}

TEST_F(StudyJobs, ThatACrashLeftUnrecordedStandInTheWay) {
  submit();
  queue_of_first_submission();
  slurm_.file("queue", read_text_file(slurm_.folder / "queue") + row("200_0", "PENDING", 0));
  EXPECT_NEXUS_ERROR(submit(), ErrorKind::kConfig, AllOf(HasSubstr(": 200_0 array PENDING;"), HasSubstr("cancel")));
}

TEST_F(StudyJobs, HaveTheRanksAndTheDeviceOfTheStudy) {
  cluster_.tasks_per_node = 2;
  EXPECT_NEXUS_ERROR(input(), ErrorKind::kConfig, HasSubstr("runs have 1 ranks, 1 nodes of this cluster make 2"));
  study_ = load("ranks: 2\n");
  EXPECT_NO_THROW(input());
  cluster_.gpus_per_node = 2;
  EXPECT_NEXUS_ERROR(input(), ErrorKind::kConfig, HasSubstr("the study computes on cpu, this cluster on cuda"));
}

TEST_F(StudyJobs, OfOneArrayAskForTheSame) {
  RenderInput uneven = input();
  uneven.tasks.back().spec.slurm.time_seconds = 60;
  EXPECT_NEXUS_ERROR(render_jobs(uneven), ErrorKind::kConfig, HasSubstr("ask for different jobs"));
}

TEST_F(StudyJobs, KeepRunnersOfThisMachineAway) {
  EXPECT_NO_THROW(require_no_jobs(study_));
  EXPECT_THAT(slurm_.calls(), IsEmpty());  // nobody is asked about a study that never had jobs
  submit();
  EXPECT_NEXUS_ERROR(require_no_jobs(study_), ErrorKind::kConfig, HasSubstr("jobs of this study wait or run: 101"));
  slurm_.file("queue", row("101_0", "COMPLETED", 0));
  EXPECT_NO_THROW(require_no_jobs(study_));
}

TEST_F(StudyJobs, OfARunThatWasSubmittedByItselfKeepRunnersAwayAsWell) {
  const std::string run = out_ + "/a/seed-1";
  std::filesystem::create_directories(run);
  write_job_book(run, {run, token_of(run), "here", {{"7", "s0", "", "slurm/s0.sbatch"}}});
  slurm_.file("queue", fmt::format("7|RUNNING|None|0:00|1:00:00|N/A||(null)|{}:s0\n", token_of(run)));
  EXPECT_NEXUS_ERROR(require_no_jobs(study_), ErrorKind::kConfig, HasSubstr("jobs of this study wait or run: 7"));
  const std::optional<StudyJob> job = view_study(study_, queue_of(study_))[2].job;
  ASSERT_TRUE(job);
  EXPECT_EQ(job->log, run + "/logs/s0-7.out");
}

TEST_F(StudyJobs, AreSeenInTheStatus) {
  submit();
  queue_of_first_submission();
  const std::string text = status_text(study_, view_study(study_, queue_of(study_)));
  EXPECT_THAT(text, AllOf(HasSubstr("trunk  1 waiting  2 queued\n"), HasSubstr("a      1 queued  2 queued\n"),
                          HasSubstr("alone  1 done  2 done\n"), HasSubstr("2 of 8 runs done"),
                          HasSubstr("101_1  trunk seed 2  RUNNING"), HasSubstr("102_3  b seed 2      PENDING"),
                          HasSubstr("trunk seed 1 waiting: its job 101_0 has ended as FAILED; " + out_ +
                                    "/logs/array-101_0.out\n")));
  // Where Slurm has forgotten the jobs, the folders speak.
  EXPECT_THAT(status_text(study_, view_study(study_, {})), HasSubstr("trunk  1 waiting  2 waiting\n"));
}

}  // namespace
}  // namespace nexus
