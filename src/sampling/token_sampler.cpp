#include "sampling/token_sampler.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace nexus {
namespace {

bool is_likelier(const TokenProbability& a, const TokenProbability& b) {
  return a.probability != b.probability ? a.probability > b.probability : a.token < b.token;
}

double sum_of(std::span<const TokenProbability> tokens) {
  double sum = 0;
  for (const TokenProbability& each : tokens) sum += each.probability;
  return sum;
}

void scale_to_one(std::vector<TokenProbability>& tokens) {
  const double sum = sum_of(tokens);
  for (TokenProbability& each : tokens) each.probability /= sum;
}

void keep_likeliest(std::vector<TokenProbability>& tokens, int64_t count) {
  const auto end = tokens.begin() + std::min(count, std::ssize(tokens));
  std::ranges::partial_sort(tokens, end, is_likelier);
  tokens.erase(end, tokens.end());
}

// Of tokens in order.
void keep_share(std::vector<TokenProbability>& tokens, double share) {
  double sum = 0;
  const auto reached = std::ranges::find_if(tokens, [&](const TokenProbability& each) {
    sum += each.probability;
    return sum >= share;
  });
  if (reached != tokens.end()) tokens.erase(reached + 1, tokens.end());
}

}  // namespace

std::vector<TokenProbability> token_distribution(std::span<const double> logits, const SamplingRule& rule) {
  const auto highest = std::ranges::max_element(logits);
  const bool has_nan = std::ranges::any_of(logits, [](double logit) { return std::isnan(logit); });
  if (highest == logits.end() || has_nan || !std::isfinite(*highest))
    throw Error(ErrorKind::kNumeric, "the model's logits are not finite", "sampling",
                "`nexus ckpt verify` tells whether the checkpoint's weights are finite");
  if (rule.temperature == 0) return {{static_cast<int32_t>(highest - logits.begin()), 1.0}};
  std::vector<TokenProbability> tokens;
  for (const double logit : logits)
    tokens.push_back({static_cast<int32_t>(tokens.size()), std::exp((logit - *highest) / rule.temperature)});
  if (rule.top_k > 0) keep_likeliest(tokens, rule.top_k);
  scale_to_one(tokens);
  // Tokens below (1 - top_p) / n have less than 1 - top_p together: none of them is needed, and few others are sorted.
  const double least = (1 - rule.top_p) / static_cast<double>(tokens.size());
  std::erase_if(tokens, [&](const TokenProbability& each) { return each.probability < least; });
  std::ranges::sort(tokens, is_likelier);
  if (rule.top_p < 1) keep_share(tokens, rule.top_p);
  scale_to_one(tokens);
  return tokens;
}

int32_t pick_token(std::span<const TokenProbability> distribution, double uniform) {
  NX_CHECK(!distribution.empty() && uniform >= 0 && uniform < 1, "{} tokens, {}", distribution.size(), uniform);
  double sum = 0;
  for (const TokenProbability& each : distribution) {
    sum += each.probability;
    if (uniform < sum) return each.token;
  }
  return distribution.back().token;  // the sum is 1 but for rounding
}

}  // namespace nexus
