#include "monitor/metrics_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "unit/monitor/series_support.h"

namespace nexus {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Csv, HasAColumnForEveryNameAndALineForEveryRow) {
  const RunSeries series{"runs/a,b", "a,b", {}, {step_row(0, 1, 4.5, 1.5), eval_row(0, 1, 4, 2)}};
  EXPECT_EQ(csv_text({series}),
            "run,kind,stage,step,tokens,time,loss,lr,grad_norm,flops,step_ms,data_ms,tok_per_s,eval/loss,eval/ppl\n"
            "\"runs/a,b\",step,s0,1,100,1.5,4.5,0.001,0.5,1000000000,20,0,5000,,\n"
            "\"runs/a,b\",eval,s0,1,100,2,,,,,,,,4,54.598150033144236\n");
}

TEST(Prometheus, GroupsTheNewestValuesAndEscapesNames) {
  RunSeries series{"r", "quote\"d\\run", {}, {step_row(0, 1, 4.5, 1), step_row(1, 2, 4.25, 2), eval_row(1, 2, 4, 3)}};
  RunView view;
  view.status = "running stage s1";
  view.spent = {{"gpu_hours", 0.5, {}}};
  view.seconds_left = 60;
  RunView ended = view;
  ended.status = "done | exit 0 | generation 1";
  const std::string text = prometheus_text({series, {"o", "other", {}, {}}}, {view, ended});
  EXPECT_THAT(text, HasSubstr("# TYPE nexus_running gauge\nnexus_running{run=\"quote\\\"d\\\\run\"} 1\n"
                              "nexus_running{run=\"other\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("nexus_loss{run=\"quote\\\"d\\\\run\",stage=\"s1\"} 4.25\n"));
  EXPECT_THAT(text,
              HasSubstr("# TYPE nexus_eval_loss gauge\nnexus_eval_loss{run=\"quote\\\"d\\\\run\",stage=\"s1\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("nexus_spent_gpu_hours{run=\"other\"} 0.5\n"));
  EXPECT_THAT(text, HasSubstr("nexus_seconds_left{run=\"other\"} 60\n"));
  EXPECT_THAT(text, Not(HasSubstr("4.5\n")));
}

TEST(TensorBoard, RefusesTwoRunsOfOneName) {
  const TempFolder folder;
  const std::vector<RunSeries> runs = {{"x/a", "a", {}, {}}, {"y/a", "a", {}, {}}};
  EXPECT_NEXUS_ERROR(write_tensorboard(runs, folder.path()), ErrorKind::kConfig, HasSubstr("two runs are called a"));
}

}  // namespace
}  // namespace nexus
