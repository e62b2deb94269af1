// Which token comes next: from logits to a distribution, and from a uniform number to a token. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace nexus {

struct SamplingRule {
  double temperature = 1;  // logits are divided by it; 0: the likeliest token
  int64_t top_k = 0;       // only the k likeliest tokens; 0: all
  double top_p = 1;        // of those the fewest, likeliest first, that have this share of the probability (Holtzman et
                           // al. 2020, nucleus sampling)
};

struct TokenProbability {
  int32_t token = 0;
  double probability = 0;
  bool operator==(const TokenProbability&) const = default;
};

// The tokens that the rule leaves, with probabilities that add up to 1: likeliest first, of equal ones the lower id.
// Throws ErrorKind::kNumeric where a logit is NaN, or none is finite.
std::vector<TokenProbability> token_distribution(std::span<const double> logits, const SamplingRule& rule);

// The token at which the sum of probabilities passes `uniform`, which is in [0, 1).
int32_t pick_token(std::span<const TokenProbability> distribution, double uniform);

}  // namespace nexus
