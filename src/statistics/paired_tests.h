// Two models on the same items: is the difference more than chance among such items?
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace nexus {

// McNemar's test of paired rights and wrongs (Psychometrika 12, 1947): under the null hypothesis an item that just one
// of the two has right is either's with probability 1/2. Two-sided.
struct McNemar {
  int64_t only_a = 0, only_b = 0;  // items that just this one has right
  double exact = 1;                // p by the binomial distribution
  double mid = 1;                  // the same less half of what is as likely as this very split: less conservative
};
McNemar mcnemar(int64_t only_a, int64_t only_b);

struct ItemBootstrap {
  double confidence = 0.95;
  int64_t draws = 2000;
  uint64_t seed = 1;
};

struct Bootstrap {
  double value = 0;          // of the items as they are
  double low = 0, high = 0;  // percentiles of the draws
  double p =
      1;  // two-sided, that the value is 0: twice the smaller share of draws at or beyond 0, (k + 1) / (draws + 1)
};
// Items are drawn with replacement, as many as there are, for both models the same; `of` makes the difference of how
// often each item was drawn. A function of its arguments alone. At least one item.
Bootstrap paired_bootstrap(size_t items, const std::function<double(const std::vector<int32_t>& times)>& of,
                           const ItemBootstrap& options = {});

}  // namespace nexus
