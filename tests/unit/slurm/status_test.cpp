#include "slurm/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/files.h"
#include "support/commit_state.h"
#include "support/fake_slurm.h"
#include "unit/slurm/specs.h"

namespace nexus {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

std::string step_line(int stage, int step, double ms) {
  return fmt::format("{{\"kind\":\"step\",\"stage_index\":{},\"step\":{},\"step_ms\":{},\"time\":1}}\n", stage, step,
                     ms);
}

class StatusOfRun : public testing::Test {
 protected:
  TempFolder folder_;
  std::string run_ = folder_ / "run";
  CampaignSpec spec_ = two_stages(run_);
  void SetUp() override { std::filesystem::create_directories(run_); }
  void file(const std::string& name, const std::string& text) { write_file_durably(run_ + "/" + name, text); }
};

TEST_F(StatusOfRun, ANewRunHasEverythingBeforeIt) {
  const RunView view = view_run(spec_, run_, {});
  ASSERT_THAT(view.stages, SizeIs(2));
  EXPECT_EQ(view.stages[0].state, "waiting");
  EXPECT_EQ(view.stages[0].steps, 10);
  EXPECT_FALSE(view.seconds_left);
  EXPECT_THAT(run_text(view), HasSubstr("not started"));
  EXPECT_THAT(run_text(view), HasSubstr("no jobs"));
}

TEST_F(StatusOfRun, ProgressAndRateComeFromTheLastSteps) {
  std::string metrics = step_line(0, 9, 9000);
  metrics += step_line(0, 10, 9000);
  for (int step = 1; step <= 4; ++step) metrics += step_line(1, step, step == 4 ? 60000 : 500);
  file("metrics.jsonl", metrics + "{\"kind\":\"st");
  file("STATUS", "running stage s1 step 4 of 10 | generation 2\n");
  const RunView view = view_run(spec_, run_, {});
  EXPECT_EQ(view.stages[0].steps_done, 10);
  EXPECT_EQ(view.stages[1].steps_done, 4);
  EXPECT_EQ(view.stages[1].tokens_done, 4096);
  EXPECT_EQ(view.stages[1].state, "running");
  EXPECT_EQ(view.stages[1].steps_committed, 0);
  EXPECT_DOUBLE_EQ(view.seconds_per_step.value(), 0.5);  // the median does not mind the slow one
  EXPECT_DOUBLE_EQ(view.seconds_left.value(), 3.0);      // six steps of the same model
}

TEST_F(StatusOfRun, AResumeTakesProgressBack) {
  file("metrics.jsonl", step_line(0, 6, 500) + "{\"kind\":\"resume\",\"stage_index\":0,\"step\":2}\n");
  EXPECT_EQ(view_run(spec_, run_, {}).stages[0].steps_done, 2);
}

TEST_F(StatusOfRun, CommittedStepsAreThoseOfTheNewestCheckpoint) {
  commit_state(run_, 0, 10);
  commit_state(run_, 1, 4);
  const RunView view = view_run(spec_, run_, {});
  EXPECT_EQ(view.stages[0].state, "done");
  EXPECT_EQ(view.stages[0].steps_committed, 10);
  EXPECT_EQ(view.stages[1].state, "stopped");
  EXPECT_EQ(view.stages[1].steps_committed, 4);
  EXPECT_THAT(run_text(view), Not(HasSubstr("owes")));
}

TEST_F(StatusOfRun, AStageThatOwesItsLastEvaluationIsNotDone) {
  commit_state(run_, 0, 10, /*eval_pending=*/true);
  const RunView view = view_run(spec_, run_, {});
  EXPECT_EQ(view.stages[0].state, "stopped");
  EXPECT_EQ(view.stages[0].steps_committed, 10);
  EXPECT_THAT(run_text(view), HasSubstr("\ns0 owes the evaluation of step 10: its next start makes up for it\n"));
  EXPECT_EQ(run_json(view)["stages"][0]["owes_evaluation"], true);
  EXPECT_EQ(run_json(view)["stages"][1]["owes_evaluation"], false);
  commit_state(run_, 0, 10);  // the evaluation has been made
  EXPECT_EQ(view_run(spec_, run_, {}).stages[0].state, "done");
}

TEST_F(StatusOfRun, AnEvaluationIsOwedUntilTheNextStart) {
  commit_state(run_, 0, 6, /*eval_pending=*/true);
  file("metrics.jsonl", step_line(0, 6, 500));
  file("STATUS", "running stage s0 step 6 of 10 | generation 2\n");
  EXPECT_THAT(run_text(view_run(spec_, run_, {})),
              HasSubstr("\ns0 owes the evaluation of step 6: this start makes up"));
  file("metrics.jsonl", step_line(0, 6, 500) + step_line(0, 7, 500));  // gone on, and not saved since
  EXPECT_FALSE(view_run(spec_, run_, {}).stages[0].owes_evaluation);
  file("metrics.jsonl", step_line(0, 7, 500) + "{\"kind\":\"resume\",\"stage_index\":0,\"step\":6}\n");  // killed
  EXPECT_TRUE(view_run(spec_, run_, {}).stages[0].owes_evaluation);
}

TEST_F(StatusOfRun, AStateThatCannotBeReadLeavesTheRestToSee) {
  commit_small(run_, "s0", 6, {{"of", "another program"}});
  write_lease(run_, 1, "101", 0, 4, 900);
  const RunView view = view_run(spec_, run_, {});
  EXPECT_EQ(view.stages[0].steps_committed, 0);
  EXPECT_DOUBLE_EQ(view.spent[0].spent, 1);
}

TEST_F(StatusOfRun, LostWorkIsSpentToo) {
  write_lease(run_, 1, "101", 0, 4, 900);
  write_lease(run_, 2, "101", 1, 8, 1800);
  spec_.budget.gpu_hours = 10;
  spec_.account.price_per_gpu_hour = 2;
  const RunView view = view_run(spec_, run_, {});
  EXPECT_EQ(view.starts, 2);
  EXPECT_DOUBLE_EQ(view.spent[0].spent, 5);  // 4 * 0.25 h + 8 * 0.5 h
  EXPECT_DOUBLE_EQ(view.spent[1].spent, 0.75);
  EXPECT_THAT(run_text(view), HasSubstr("spent gpu_hours 5 of 10 | node_hours 0.75 | money 10"));
  EXPECT_EQ(run_json(view)["spent"]["gpu_hours"]["limit"], 10);
}

TEST_F(StatusOfRun, JobsShowWhatSlurmSaysOrThatItHasForgotten) {
  const std::string token = token_of(run_);
  write_job_book(
      run_,
      {run_, token, "small", {{"90", "s0", "", "x", 0}, {"101", "s0", "", "x", 0}, {"102", "s1", "101", "x", 0}}});
  const QueuedJob job{"102", "PENDING", "Dependency", "0:00", "1:00", "N/A", "", "", token + ":s1"};
  const RunView view = view_run(spec_, run_, {job, {"103", "RUNNING", "", "", "", "", "", "", "other"}});
  ASSERT_THAT(view.jobs, SizeIs(2));
  EXPECT_EQ(view.jobs[0].job.id, "101");
  EXPECT_EQ(view.jobs[0].job.state, "not in the queue");
  EXPECT_EQ(view.jobs[1].stage, "s1");
  EXPECT_EQ(run_json(view)["jobs"][1]["reason"], "Dependency");
  EXPECT_THAT(run_text(view), HasSubstr("Dependency"));
}

// As power does it: everything is killed, and STATUS goes on saying what it said.
TEST_F(StatusOfRun, ALaunchWhoseProcessIsGoneDoesNotRun) {
  file("metrics.jsonl", step_line(0, 6, 500));
  file("STATUS", "running stage s0 step 6 of 10 | generation 1\n");
  EXPECT_EQ(runs_without_process({run_}, {}), std::vector<bool>{false}) << "no launch is known";
  write_lease(run_, 1, "101", 0);  // which says that it has let go
  EXPECT_EQ(runs_without_process({run_}, {}), std::vector<bool>{true});
  const RunView view = view_run(spec_, run_, {}, true);
  EXPECT_THAT(run_text(view), HasSubstr("\nstatus killed stage s0 step 6 of 10 | generation 1 | its process is gone"));
  EXPECT_EQ(view.stages[0].state, "stopped");
  file("STATUS", "done | stages 2 tokens 20k | exit 0 | generation 1\n");
  EXPECT_EQ(runs_without_process({run_}, {}), std::vector<bool>{false});
}

TEST(NameOfComment, LeavesOutTheNoteOfFailedStarts) {
  EXPECT_EQ(name_of_comment("nexus:0123:s240"), "s240");
  EXPECT_EQ(name_of_comment("nexus:0123:s240/failed-7-2"), "s240");
}

}  // namespace
}  // namespace nexus
