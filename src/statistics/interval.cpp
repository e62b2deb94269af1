#include "statistics/interval.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "core/rng.h"
#include "statistics/quantiles.h"
#include "statistics/student_t.h"

namespace nexus {
namespace {

// Compared as they are: rounding of the mean gives equal values a scatter.
bool all_equal(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [&](double value) { return value == values.front(); });
}

std::string names_missing(const SeedValues& from, const SeedValues& of) {
  std::string names;
  for (const auto& [name, value] : of)
    if (from.count(name) == 0) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "none" : names;
}

}  // namespace

Interval mean_and_sd(const std::vector<double>& values) {
  Interval result;
  result.n = static_cast<int64_t>(values.size());
  if (values.empty()) return result;
  const auto n = static_cast<double>(values.size());
  result.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  NX_CHECK(std::isfinite(result.mean), "mean {} of {} values", result.mean, values.size());
  if (values.size() < 2) return result;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.sd = std::sqrt(squares / (n - 1));
  return result;
}

Interval mean_interval(const std::vector<double>& values, double confidence) {
  NX_CHECK(confidence > 0 && confidence < 1, "confidence {}", confidence);
  Interval result = mean_and_sd(values);
  if (all_equal(values)) return result;
  const auto n = static_cast<double>(values.size());
  const double half = student_t_quantile((1 + confidence) / 2, n - 1) * result.sd / std::sqrt(n);
  result.low = result.mean - half;
  result.high = result.mean + half;
  return result;
}

Interval bootstrap_interval(const std::vector<double>& values, const SeedBootstrap& options) {
  NX_CHECK(options.confidence > 0 && options.confidence < 1, "confidence {}", options.confidence);
  NX_CHECK(options.draws > 0, "draws {}", options.draws);
  Interval result = mean_and_sd(values);
  if (result.n < kLeastSeedsForBootstrap || all_equal(values)) return result;
  const RandomStream stream(options.seed, "statistics.bootstrap.seeds");
  std::vector<double> sample(values.size()), deviations;
  uint64_t index = 0;
  for (int64_t draw = 0; draw < options.draws; ++draw) {
    for (double& value : sample) value = values[stream.below(index++, values.size())];
    if (all_equal(sample)) continue;  // has no standard error; of ten values one draw in 10^9
    const Interval drawn = mean_and_sd(sample);
    deviations.push_back((drawn.mean - result.mean) / drawn.sd);
  }
  // The standard errors' common factor 1 / sqrt(n) cancels.
  const double tail = (1 - options.confidence) / 2;
  result.low = result.mean - quantile(deviations, 1 - tail) * result.sd;
  result.high = result.mean - quantile(deviations, tail) * result.sd;
  return result;
}

std::vector<double> paired_differences(const SeedValues& a, const SeedValues& b) {
  const auto same_name = [](const auto& left, const auto& right) { return left.first == right.first; };
  if (!std::equal(a.begin(), a.end(), b.begin(), b.end(), same_name))
    throw Error(ErrorKind::kData, "two arms that are to be paired do not have the same seeds",
                fmt::format("only in the first: {}; only in the second: {}", names_missing(b, a), names_missing(a, b)),
                "pair the seeds that both have, or run those that are missing");
  std::vector<double> differences;
  for (auto left = a.begin(), right = b.begin(); left != a.end(); ++left, ++right)
    differences.push_back(left->second - right->second);
  return differences;
}

Interval paired_difference(const SeedValues& a, const SeedValues& b, double confidence) {
  return mean_interval(paired_differences(a, b), confidence);
}

}  // namespace nexus
