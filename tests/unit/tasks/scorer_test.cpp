#include "tasks/scorer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "layers/device_batch.h"
#include "support/expect_error.h"
#include "support/host_tensors.h"
#include "support/limited_backend.h"
#include "support/tiny_models.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;

class ScorerTest : public ::testing::TestWithParam<testing::NamedModel> {
 protected:
  ScorerTest() { params_.initialize(5); }

  std::vector<ContinuationScore> score(int64_t batch_tokens) {
    return score_requests({*backend_, grid_, model_, params_, batch_tokens, "test"}, requests_);
  }

  // Losses of one request's tokens, by the model's evaluation of it alone.
  std::vector<double> losses_of(const ScoreRequest& request) {
    const auto context = static_cast<int64_t>(request.ids.size()) - 1;
    const HostBatch host(model_.batch_fields(context), 1);
    std::copy(request.ids.begin(), request.ids.end() - 1, host.batch().at("tokens").as<int32_t>());
    std::copy(request.ids.begin() + 1, request.ids.end(), host.batch().at("targets").as<int32_t>());
    Arena arena(host_buffer(1 << 20));
    std::vector<double> losses(static_cast<size_t>(context));
    model_.evaluate({*backend_, arena, params_, 1, context}, host.batch(),
                    Tensor{losses.data(), DType::kF64, {1, context}});
    return losses;
  }

  void expect_sums_of_losses(int64_t batch_tokens) {
    const std::vector<ContinuationScore> scores = score(batch_tokens);
    ASSERT_EQ(scores.size(), requests_.size());
    for (size_t i = 0; i < scores.size(); ++i) {
      const std::vector<double> losses = losses_of(requests_[i]);
      double sum = 0;
      for (auto loss = losses.end() - requests_[i].scored; loss != losses.end(); ++loss) sum += *loss;
      EXPECT_NEAR(scores[i].loglikelihood, -sum, 1e-12) << i;  // up to 70 terms of about 3, in another order inside
    }
  }

  std::unique_ptr<Backend> backend_ = make_cpu_backend(1);
  ProcessGrid grid_{make_self_communicator(), 1, 1};
  Model model_{GetParam().config};
  ParamStore params_{*backend_, model_.table(), DType::kF64, ParamStore::Use::kInference};
  // Some begin alike, one is the beginning of another.
  std::vector<ScoreRequest> requests_{{{1, 5, 9, 2}, 2},
                                      {{3, 16}, 1},
                                      {{1, 5, 9, 3, 7}, 3},
                                      {{1, 5, 7}, 1},
                                      {{1, 5, 9, 4}, 1},
                                      {{3, 2}, 1},
                                      {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0}, 5},
                                      {{16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 7}, 17}};
};

TEST_P(ScorerTest, SumsTheLossesOfTheScoredTokensWhateverTheBatches) {
  for (const int64_t batch_tokens : {1, 33, 1000}) expect_sums_of_losses(batch_tokens);
}

// Windows of one length, which are attended to as a batch; the second batch is filled up.
TEST_P(ScorerTest, ScoresWholeSequences) {
  requests_.clear();
  for (int32_t i = 0; i < 5; ++i) {
    requests_.push_back({testing::random_tokens("window" + std::to_string(i), 71, 17), 71 - 10 * i - 1});
    requests_.back().ids.front() = i;
  }
  expect_sums_of_losses(230);
}

// The likeliest token after a context makes it greedy, every other one does not.
TEST_P(ScorerTest, KnowsTheLikeliestToken) {
  requests_.clear();
  for (int32_t token = 0; token < 17; ++token) requests_.push_back({{1, 2, 3, token}, 1});
  const std::vector<ContinuationScore> scores = score(1000);
  const auto best = std::ranges::max_element(scores, {}, &ContinuationScore::loglikelihood);
  for (auto each = scores.begin(); each != scores.end(); ++each) EXPECT_EQ(each->greedy, each == best);
}

TEST_P(ScorerTest, SaysWhatHelpsWhereABatchDoesNotFit) {
  testing::LimitedBackend limited(*backend_, 1000);
  EXPECT_NEXUS_ERROR(score_requests({limited, grid_, model_, params_, 1000, "test"}, requests_), ErrorKind::kConfig,
                     HasSubstr("lower --batch-tokens"));
}

INSTANTIATE_TEST_SUITE_P(Tiny, ScorerTest, ::testing::ValuesIn(testing::tiny_models()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace nexus
