#include "statistics/quantiles.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace nexus {

double median(std::vector<double> values) {
  NX_CHECK(!values.empty(), "no values");
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double quantile(std::vector<double> values, double probability) {
  NX_CHECK(!values.empty() && probability >= 0 && probability <= 1, "{} of {} values", probability, values.size());
  const auto rank = std::lround(probability * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + rank, values.end());
  return values[static_cast<size_t>(rank)];
}

}  // namespace nexus
