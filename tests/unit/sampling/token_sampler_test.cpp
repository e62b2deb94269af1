#include "sampling/token_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "core/rng.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;

// Logits of given probabilities, and some constant.
std::vector<double> logits_of(const std::vector<double>& probabilities) {
  std::vector<double> logits;
  for (const double probability : probabilities) logits.push_back(std::log(probability) + 3);
  return logits;
}

const std::vector<double> kProbabilities = {0.1, 0.4, 0.05, 0.25, 0.2};

void expect_distribution(const SamplingRule& rule, const std::vector<TokenProbability>& expected) {
  const std::vector<TokenProbability> actual = token_distribution(logits_of(kProbabilities), rule);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].token, expected[i].token) << i;
    EXPECT_NEAR(actual[i].probability, expected[i].probability, 1e-15) << i;  // a few roundings
  }
}

TEST(TokenDistribution, IsTheSoftmaxLikeliestFirst) {
  expect_distribution({}, {{1, 0.4}, {3, 0.25}, {4, 0.2}, {0, 0.1}, {2, 0.05}});
}

TEST(TokenDistribution, OfATemperatureIsAPowerOfTheProbabilities) {
  const double sum = 0.01 + 0.16 + 0.0025 + 0.0625 + 0.04;  // squares, at temperature 1/2
  expect_distribution({.temperature = 0.5},
                      {{1, 0.16 / sum}, {3, 0.0625 / sum}, {4, 0.04 / sum}, {0, 0.01 / sum}, {2, 0.0025 / sum}});
}

TEST(TokenDistribution, OfTemperature0IsTheFirstOfTheLikeliest) {
  expect_distribution({.temperature = 0}, {{1, 1}});
  EXPECT_THAT(token_distribution(std::vector<double>{1, 7, 7, 2}, {.temperature = 0}),
              ::testing::ElementsAre(TokenProbability{1, 1}));
}

TEST(TokenDistribution, KeepsTheTopK) {
  expect_distribution({.top_k = 2}, {{1, 0.4 / 0.65}, {3, 0.25 / 0.65}});
  expect_distribution({.top_k = 1}, {{1, 1}});
  expect_distribution({.top_k = 99}, {{1, 0.4}, {3, 0.25}, {4, 0.2}, {0, 0.1}, {2, 0.05}});
  EXPECT_THAT(token_distribution(std::vector<double>{1, 7, 7, 7}, {.top_k = 2}),
              ::testing::ElementsAre(TokenProbability{1, 0.5}, TokenProbability{2, 0.5}));
}

TEST(TokenDistribution, KeepsTheFewestThatHaveTheShare) {
  expect_distribution({.top_p = 0.6}, {{1, 0.4 / 0.65}, {3, 0.25 / 0.65}});
  expect_distribution({.top_p = 0.7}, {{1, 0.4 / 0.85}, {3, 0.25 / 0.85}, {4, 0.2 / 0.85}});
  expect_distribution({.top_p = 0.01}, {{1, 1}});
  expect_distribution({.top_p = 0.99}, {{1, 0.4}, {3, 0.25}, {4, 0.2}, {0, 0.1}, {2, 0.05}});
}

// The share is one of what the top k leave.
TEST(TokenDistribution, TakesTheShareOfTheTopK) {
  expect_distribution({.top_k = 2, .top_p = 0.6}, {{1, 1}});  // 0.4 of 0.65
  expect_distribution({.top_k = 3, .top_p = 0.6}, {{1, 0.4 / 0.65}, {3, 0.25 / 0.65}});
}

// Of many unlikely tokens most are dropped before they are sorted: what is left is what sorting all of them leaves.
TEST(TokenDistribution, KeepsTheShareOfALargeVocabulary) {
  std::vector<double> logits;
  const RandomStream random(4, "logits");
  for (uint64_t i = 0; i < 5000; ++i) logits.push_back(3 * random.normal(i));
  const std::vector<TokenProbability> all = token_distribution(logits, {});
  for (const double share : {0.1, 0.5, 0.9, 0.99}) {
    const std::vector<TokenProbability> some = token_distribution(logits, {.top_p = share});
    double sum = 0;
    size_t count = 0;
    while (sum < share) sum += all[count++].probability;
    ASSERT_EQ(some.size(), count) << share;
    for (size_t i = 0; i < count; ++i) {
      EXPECT_EQ(some[i].token, all[i].token);
      EXPECT_NEAR(some[i].probability, all[i].probability / sum, 1e-14);  // a sum of up to 5000 terms
    }
  }
}

TEST(TokenDistribution, RefusesLogitsThatAreNotFinite) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const std::vector<double>& logits :
       {std::vector<double>{1, std::nan("")}, {std::nan(""), 1}, {infinity, 1}, {-infinity, -infinity}})
    EXPECT_NEXUS_ERROR(token_distribution(logits, {}), ErrorKind::kNumeric, HasSubstr("not finite"));
  EXPECT_EQ(token_distribution(std::vector<double>{-infinity, 1}, {}).front(), (TokenProbability{1, 1}));
}

TEST(PickToken, GivesEachTokenItsShareOfTheNumbers) {
  const std::vector<TokenProbability> tokens = token_distribution(logits_of(kProbabilities), {});
  constexpr int kNumbers = 1000;
  std::map<int32_t, int> counts;
  for (int i = 0; i < kNumbers; ++i) ++counts[pick_token(tokens, (i + 0.5) / kNumbers)];
  for (int32_t token = 0; token < 5; ++token)
    EXPECT_EQ(counts[token], std::lround(kNumbers * kProbabilities[static_cast<size_t>(token)])) << token;
  EXPECT_EQ(pick_token(tokens, 0.0), 1);
  EXPECT_EQ(pick_token(tokens, std::nextafter(1.0, 0.0)), 2);
}

}  // namespace
}  // namespace nexus
