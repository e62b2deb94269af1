#include "slurm/simulate_preempt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/files.h"
#include "slurm/job_book.h"
#include "support/expect_error.h"
#include "support/fake_slurm.h"
#include "unit/slurm/specs.h"

namespace nexus {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class Preempt : public testing::Test {
 protected:
  FakeSlurm slurm_;
  std::string run_ = slurm_.folder / "run";

  void SetUp() override {
    write_lease(run_, 1, "101", 0);
    slurm_.file("queue", "101|RUNNING|None|1:00|1:00|N/A|n1|(null)|" + token_of(run_) + ":s0\n");
    append("metrics", row("step", 4, 1) + row("step", 7, 1));
    append("ledger", row("commit", 4, 1));
    // What the job's next start will write.
    write_lease(slurm_.folder / "next", 2, "101", 1);
  }
  std::string row(const std::string& kind, int step, int generation, double time = 4e9) {
    return fmt::format("{{\"kind\":\"{}\",\"stage_index\":0,\"step\":{},\"generation\":{},\"time\":{}}}\n", kind, step,
                       generation, time);
  }
  void append(const std::string& file, const std::string& text) {
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = text.find('\n', begin);
      append_line(run_ + "/" + file + ".jsonl", text.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  // `program` of Slurm brings the job back when it is called with `word`.
  void comes_back_on(const std::string& program, const std::string& word, const std::string& ledger) {
    slurm_.file("next_metrics", row("resume", 4, 2) + row("step", 5, 2, 4e9 + 10) + row("step", 8, 2, 4e9 + 20));
    slurm_.file("next_ledger", row("resume", 4, 2) + row("commit", 4, 2) + ledger);
    std::string text = read_text_file(slurm_.bin() + "/" + program);
    text +=
        "if [[ \"$*\" == *" + word + "* ]]; then cp \"$F\"/next/lease/* \"$F/run/lease/\"\n" +
        "cat \"$F/next_metrics\" >>\"$F/run/metrics.jsonl\"; cat \"$F/next_ledger\" >>\"$F/run/ledger.jsonl\"; fi\n";
    slurm_.program(program, text);
  }
  PreemptResult perform(double patience = 300) {
    PreemptOptions options;
    options.run = run_;
    options.grace_seconds = 0.2;
    options.poll_seconds = 0.05;
    options.patience_seconds = patience;
    return simulate_preempt(two_stages(run_), options, [](const std::string&) {});
  }
};

TEST_F(Preempt, MeasuresWhatAJobLosesAndHowSoonItIsBack) {
  comes_back_on("scontrol", "requeue", row("commit", 8, 2));
  const PreemptResult result = perform();
  EXPECT_TRUE(result.held());
  EXPECT_EQ(result.job, "101");
  EXPECT_EQ(result.new_generation, 2);
  EXPECT_EQ(result.steps_lost, 3);            // 5, 6 and 7
  EXPECT_GT(result.seconds_to_new_step, 15);  // step 8, not the repeated step 5
  EXPECT_THAT(slurm_.calls("scancel"), ElementsAre(ElementsAre("scancel", "--signal=TERM", "101")));
  EXPECT_THAT(slurm_.calls("scontrol"), ElementsAre(ElementsAre("scontrol", "requeue", "101")));
}

TEST_F(Preempt, AJobThatQueuesItselfAgainIsNotRequeuedTwice) {
  comes_back_on("scancel", "TERM", row("commit", 8, 2));
  EXPECT_TRUE(perform().held());
  EXPECT_THAT(slurm_.calls("scontrol"), Not(Contains(Contains("requeue"))));
}

TEST_F(Preempt, RepeatingTheOldCommitIsNoProgress) {
  comes_back_on("scontrol", "requeue", "");
  const PreemptResult result = perform(1);
  EXPECT_FALSE(result.committed);
  EXPECT_FALSE(result.held());
}

TEST_F(Preempt, AForkOfTheLineageFails) {
  comes_back_on("scontrol", "requeue", row("commit", 8, 2) + row("commit", 9, 1));
  const PreemptResult result = perform();
  EXPECT_TRUE(result.committed);
  EXPECT_FALSE(result.held());
  EXPECT_THAT(result.lineage_fault, HasSubstr("generation 1"));
}

TEST_F(Preempt, NeedsAJobThatRunsAndHasMadeSteps) {
  slurm_.file("queue", "101|PENDING|None|1:00|1:00|N/A|n1|(null)|" + token_of(run_) + ":s0\n");
  EXPECT_NEXUS_ERROR(perform(), ErrorKind::kConfig, HasSubstr("no job of this run is running"));
  SetUp();
  write_lease(run_, 3, "101", 2);
  EXPECT_NEXUS_ERROR(perform(), ErrorKind::kConfig, HasSubstr("no step yet"));
  EXPECT_THAT(slurm_.calls("scancel"), testing::IsEmpty());
}

}  // namespace
}  // namespace nexus
