// The middle of a sample.
#pragma once

#include <vector>

namespace nexus {

// The middle value, or the mean of the two in the middle. Of at least one value, none of them NaN.
double median(std::vector<double> values);

// The value below which a share `probability` (0 to 1) of the others lies, by nearest rank: no arithmetic between
// values, which may be infinite. Of at least one value, none of them NaN.
double quantile(std::vector<double> values, double probability);

}  // namespace nexus
