// How much of the scatter over seeds is training, and how much is only that an evaluation reads few windows.
//
// The model: value(seed, window) = mean + seed + window + rest. A seed's value is its mean over W windows. "Value" is a
// loss, or the paired difference of two arms on the same windows, whose standard error is far smaller than either
// loss's: what makes a window hard falls out.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace nexus {

struct MeasuredValue {
  double value;
  double se;  // standard error over the windows of its evaluation
};

// Variances of one seed's value, in the square of its unit; NaN where they cannot be known.
struct NoiseParts {
  int64_t n = 0;                                                     // seeds
  double total = std::numeric_limits<double>::quiet_NaN();           // between the seeds' values, by n - 1
  double evaluation = std::numeric_limits<double>::quiet_NaN();      // of it, what evaluations account for
  double seed = std::numeric_limits<double>::quiet_NaN();            // the rest
  double shared_windows = std::numeric_limits<double>::quiet_NaN();  // the windows' own, the same in all seeds' values
};
// seed = total - evaluation, or 0 where that is negative: both are estimates, and then the seeds scatter no more than
// their evaluations do; nothing is told of how much less. `total` and `evaluation` stay as they were estimated. With
// few seeds the total itself is vague: from 3 of them its 95 % interval spans a factor of 146, from 10 of 7.

// From standard errors alone. Exact where every seed was evaluated on windows of its own. Where all read the same ones,
// what these have in common is in every `se` but not in the total: `evaluation` is an upper bound then, `seed` a lower
// one; far off for losses, less so for paired differences. `shared_windows` stays unknown.
NoiseParts separate_noise(const std::vector<MeasuredValue>& seeds);

// From the value in every window, [seed][window], the same windows for all seeds, at least two: separates exactly.
// `shared_windows` moves all seeds' values alike: no number of seeds shows or reduces it, only more windows do, and an
// interval over seeds speaks of these windows.
NoiseParts separate_noise_by_windows(const std::vector<std::vector<double>>& windows_of_seeds);

}  // namespace nexus
