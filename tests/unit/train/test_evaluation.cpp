#include "train/evaluation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "support/model_rig.h"
#include "support/temp_folder.h"
#include "support/tiny_models.h"
#include "train/memory_advice.h"
#include "workloads/text/token_file.h"

namespace nexus {
namespace {

constexpr int64_t kContext = 5, kMicro = 2;

// A tiny model and a validation file of 7 windows.
class EvaluationTest : public ::testing::Test {
 protected:
  EvaluationTest() : rig_(testing::tiny_config("nexusformer"), DType::kF64, kMicro, kContext) {
    TokenFileWriter writer(folder_ / "v", TokenType::kUint16);
    const std::vector<int32_t> ids = testing::random_tokens("v", 7 * kContext + 1, rig_.model().config().count("V"));
    writer.append(ids.data(), static_cast<int64_t>(ids.size()));
    writer.end_document();
    writer.finish();
    windows_ = workload("text").open(folder_ / "v", kContext, rig_.model().config());
  }

  EvalContext context(int64_t max_tokens = 0) {
    return {rig_.params().backend(),
            grid_,
            arena_,
            rig_.model(),
            rig_.params(),
            *windows_,
            kContext,
            kMicro,
            max_tokens,
            [this] { return passes_++ == stop_at_; }};
  }

  // One window's losses, by themselves.
  std::vector<double> losses_of(int64_t window) const {
    testing::ModelRig one(rig_.model().config(), DType::kF64, 1, kContext);
    windows_->fetch(window, one.batch(), 0);
    one.evaluate();
    return one.losses();
  }

  TempFolder folder_;
  mutable testing::ModelRig rig_;
  ProcessGrid grid_{make_self_communicator(), 1, 1};
  std::unique_ptr<const DataSet> windows_;
  Arena arena_ = testing::poisoned_arena(
      evaluation_bytes({rig_.model().config(), DType::kF64, BatchLayout{kContext, kMicro, 1}, {}, {}}));
  int passes_ = 0, stop_at_ = -1;
};

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Sums in another order round otherwise.
constexpr double kRounding = 1e-12;

TEST_F(EvaluationTest, TheValidationLossIsTheMeanOverWindowsWithTheErrorOfThatMean) {
  std::vector<double> means;
  for (int64_t window = 0; window < 7; ++window) means.push_back(mean_of(losses_of(window)));
  double squares = 0;
  for (const double mean : means) squares += (mean - mean_of(means)) * (mean - mean_of(means));
  const std::optional<EvalRecord> record = run_evaluations(context(), {}, EvalEvent::kAfterGrowth);
  ASSERT_TRUE(record);
  EXPECT_NEAR(record->loss, mean_of(means), kRounding);
  EXPECT_NEAR(record->loss_se, std::sqrt(squares / 6 / 7), 1e-7) << "a difference of nearly equal squares";
  EXPECT_EQ(record->windows, 7);
  EXPECT_EQ(record->eval_tokens, 35);
  EXPECT_EQ(record->event, "after_growth");
  EXPECT_TRUE(record->window_losses.empty()) << "they are for the ends of stages";
  EXPECT_FALSE(record->bits_per_byte) << "the file does not say how long its text is";
  EXPECT_TRUE(record->figures.empty());
  EXPECT_EQ(arena_.used_bytes(), 0);
}

TEST_F(EvaluationTest, MaxTokensTakesWindowsEvenlySpreadOverTheFile) {
  const std::optional<EvalRecord> record = run_evaluations(context(3 * kContext + 1), {}, EvalEvent::kEnd);
  ASSERT_TRUE(record);
  EXPECT_NEAR(record->loss, mean_of({mean_of(losses_of(0)), mean_of(losses_of(2)), mean_of(losses_of(4))}), kRounding);
  EXPECT_EQ(record->windows, 3);
  ASSERT_EQ(record->window_losses.size(), 3u);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_NEAR(record->window_losses[i], mean_of(losses_of(2 * static_cast<int64_t>(i))), kRounding);
}

TEST_F(EvaluationTest, OfOneWindowHasNoStandardError) {
  const std::optional<EvalRecord> record = run_evaluations(context(1), {}, EvalEvent::kEnd);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->windows, 1);
  EXPECT_TRUE(std::isnan(record->loss_se));
}

TEST_F(EvaluationTest, AMeanOverSamplesSeesEachWindowsLossesTokenByToken) {
  const auto last = [](std::span<const double> losses) { return losses.size() == kContext ? losses.back() : NAN; };
  const std::optional<SampleMean> found = mean_over_samples(context(), "last_loss", "nats/token", last);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->sums.empty()) << "text has no figures beside its losses";
  const Figure& figure = found->mean;
  std::vector<double> expected;
  for (int64_t window = 0; window < 7; ++window) expected.push_back(losses_of(window).back());
  EXPECT_NEAR(figure.value, mean_of(expected), kRounding);
  ASSERT_EQ(figure.of_samples.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(figure.of_samples[i], expected[i], kRounding) << i;
  EXPECT_EQ(figure.name, "last_loss");
  EXPECT_EQ(figure.unit, "nats/token");
  EXPECT_EQ(figure.count, 7);
}

TEST_F(EvaluationTest, GivesWayToAStopBetweenPasses) {
  stop_at_ = 1;
  EXPECT_FALSE(run_evaluations(context(), {}, EvalEvent::kPeriodic));
  EXPECT_EQ(passes_, 2);
  EXPECT_EQ(arena_.used_bytes(), 0);
}

TEST(AllEvaluations, HaveNamesOfTheirOwnAndBeginWithTheValidationLoss) {
  std::set<std::string> names;
  for (const Evaluation* each : all_evaluations()) EXPECT_TRUE(names.insert(each->name).second) << each->name;
  EXPECT_EQ(all_evaluations().front()->name, std::string("validation_loss"));
  EXPECT_EQ(EvalSpec{}.evaluations, std::vector<std::string>{all_evaluations().front()->name});
}

}  // namespace
}  // namespace nexus
