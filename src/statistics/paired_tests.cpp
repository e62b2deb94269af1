#include "statistics/paired_tests.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/rng.h"
#include "statistics/quantiles.h"

namespace nexus {
namespace {

// P(X = k), X binomial of n fair trials.
double fair_binomial(int64_t n, int64_t k) {
  const auto real = [](int64_t value) { return static_cast<double>(value); };
  return std::exp(std::lgamma(real(n) + 1) - std::lgamma(real(k) + 1) - std::lgamma(real(n - k) + 1) -
                  real(n) * std::log(2.0));
}

}  // namespace

McNemar mcnemar(int64_t only_a, int64_t only_b) {
  NX_CHECK(only_a >= 0 && only_b >= 0, "{} and {} items", only_a, only_b);
  const int64_t n = only_a + only_b, fewer = std::min(only_a, only_b);
  double tail = 0;
  for (int64_t k = 0; k <= fewer; ++k) tail += fair_binomial(n, k);
  return {only_a, only_b, std::min(1.0, 2 * tail), std::min(1.0, 2 * tail - fair_binomial(n, fewer))};
}

Bootstrap paired_bootstrap(size_t items, const std::function<double(const std::vector<int32_t>& times)>& of,
                           const ItemBootstrap& options) {
  NX_CHECK(items > 0 && options.draws > 0, "{} items, {} draws", items, options.draws);
  const RandomStream stream(options.seed, "paired bootstrap");
  std::vector<int32_t> times(items, 1);
  Bootstrap result;
  result.value = of(times);
  std::vector<double> values;
  uint64_t counter = 0;
  for (int64_t draw = 0; draw < options.draws; ++draw) {
    std::ranges::fill(times, 0);
    for (size_t i = 0; i < items; ++i) ++times[stream.below(counter++, items)];
    values.push_back(of(times));
  }
  const double outside = (1 - options.confidence) / 2;
  result.low = quantile(values, outside);
  result.high = quantile(values, 1 - outside);
  const auto beyond = std::min(std::ranges::count_if(values, [](double value) { return value <= 0; }),
                               std::ranges::count_if(values, [](double value) { return value >= 0; }));
  result.p = std::min(1.0, 2 * static_cast<double>(beyond + 1) / static_cast<double>(options.draws + 1));
  return result;
}

}  // namespace nexus
