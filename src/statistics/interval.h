// Means over seeds and how far they may be off. A value is one seed's: one training, or one parent with what was
// branched from it. Several branches of one parent are no further seeds: give their mean.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace nexus {

struct Interval {
  int64_t n = 0;  // values
  double mean = std::numeric_limits<double>::quiet_NaN();
  double sd = std::numeric_limits<double>::quiet_NaN();  // between the values, by n - 1; NaN below two
  double low = std::numeric_limits<double>::quiet_NaN();
  double high = std::numeric_limits<double>::quiet_NaN();  // both NaN: there is no interval
  bool has_interval() const { return !std::isnan(low) && !std::isnan(high); }
};

// Mean and scatter without an interval. Of finite values.
Interval mean_and_sd(const std::vector<double>& values);

// Student's t: mean +- t(n - 1) sd / sqrt(n). Exact where seeds scatter normally; docs/report.md says what other noise
// does to it. One value has no interval, and values that are all equal have none either: seeds that do not scatter say
// nothing about how far seeds scatter.
Interval mean_interval(const std::vector<double>& values, double confidence = 0.95);

// From so many values on a bootstrap over seeds is given. Below, its width is a matter of luck (of 5 values one study
// in ten gets more than twice the t interval, of 4 eight times), since many draws repeat one value and hardly scatter.
// The plain percentile bootstrap is no way out: it holds the truth in 80 % of studies of 4 seeds and in 90 % of 10.
inline constexpr int64_t kLeastSeedsForBootstrap = 10;

struct SeedBootstrap {
  double confidence = 0.95;
  int64_t draws = 2000;
  uint64_t seed = 1;
};
// Without the assumption of normal noise: bootstrap-t, in which every draw of n values with replacement is judged by
// its own standard error. No interval below kLeastSeedsForBootstrap.
Interval bootstrap_interval(const std::vector<double>& values, const SeedBootstrap& options = {});

// One value for each seed, by the seed's or the parent's name.
using SeedValues = std::map<std::string, double>;

// a - b, seed by seed, in the order of the names. What a parent, its samples and its validation windows do to both arms
// falls out. Throws ErrorKind::kData where one arm has a seed that the other lacks.
std::vector<double> paired_differences(const SeedValues& a, const SeedValues& b);

// Its mean, by mean_interval.
Interval paired_difference(const SeedValues& a, const SeedValues& b, double confidence = 0.95);

}  // namespace nexus
