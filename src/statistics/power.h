// What a study's seeds can show, before it is run: the two-sided paired t test at 5 %, with a chance of 80 %.
//
// Computed exactly by the noncentral t distribution: the usual approximation by normal quantiles makes 3 seeds look
// twice as sharp as they are. `sd` is the standard deviation over seeds of the paired difference, as paired_difference
// gives it for an earlier study: sd^2 = seed part + evaluation part (noise.h). Of arms that each scatter by s with
// correlation r it is s sqrt(2 (1 - r)).
#pragma once

#include <cstdint>
#include <optional>

namespace nexus {

inline constexpr double kTestLevel = 0.05, kTestPower = 0.8;
inline constexpr int64_t kMostSeeds = 10000;  // that are looked at

// The chance that n >= 2 paired seeds show a true difference: that their 95 % interval excludes 0. sd > 0.
double chance_to_show(double difference, double sd, int64_t n);

// The smallest difference, in the unit of `sd`, that n >= 2 paired seeds show with probability kTestPower.
double smallest_difference(double sd, int64_t n);

// The least number of paired seeds that shows `difference`, not 0, so; nothing above kMostSeeds.
std::optional<int64_t> seeds_needed(double difference, double sd);

}  // namespace nexus
