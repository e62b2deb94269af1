#include "statistics/noise.h"

#include <algorithm>

#include "core/error.h"
#include "statistics/interval.h"

namespace nexus {
namespace {

double noise_variance(const std::vector<double>& values) {
  const double sd = mean_and_sd(values).sd;
  return sd * sd;
}

double mean_of(const std::vector<double>& values) {
  return mean_and_sd(values).mean;
}

double rest_of(double total, double evaluation) {
  return std::isnan(total) || std::isnan(evaluation) ? total - evaluation : std::max(0.0, total - evaluation);
}

}  // namespace

NoiseParts separate_noise(const std::vector<MeasuredValue>& seeds) {
  NoiseParts parts;
  parts.n = static_cast<int64_t>(seeds.size());
  std::vector<double> values, squares;
  for (const MeasuredValue& seed : seeds) {
    values.push_back(seed.value);
    squares.push_back(seed.se * seed.se);
  }
  parts.total = noise_variance(values);
  const bool known = std::all_of(squares.begin(), squares.end(), [](double square) { return std::isfinite(square); });
  if (known) parts.evaluation = mean_of(squares);
  parts.seed = rest_of(parts.total, parts.evaluation);
  return parts;
}

NoiseParts separate_noise_by_windows(const std::vector<std::vector<double>>& windows_of_seeds) {
  NoiseParts parts;
  parts.n = static_cast<int64_t>(windows_of_seeds.size());
  if (windows_of_seeds.size() < 2) return parts;
  const size_t windows = windows_of_seeds.front().size();
  NX_CHECK(windows >= 2, "{} windows", windows);
  std::vector<double> of_seeds, of_windows(windows, 0.0);
  for (const std::vector<double>& row : windows_of_seeds) {
    NX_CHECK(row.size() == windows, "{} and {} windows", row.size(), windows);
    of_seeds.push_back(mean_of(row));
    for (size_t w = 0; w < windows; ++w) of_windows[w] += row[w] / static_cast<double>(parts.n);
  }
  // Two-way layout, one value in each cell (Scheffe, The Analysis of Variance, 1959, chapter 7): what neither row nor
  // column explains.
  const double mean = mean_of(of_seeds);
  double squares = 0;
  for (size_t s = 0; s < windows_of_seeds.size(); ++s)
    for (size_t w = 0; w < windows; ++w) {
      const double rest = windows_of_seeds[s][w] - of_seeds[s] - of_windows[w] + mean;
      squares += rest * rest;
    }
  const auto n = static_cast<double>(parts.n), count = static_cast<double>(windows);
  parts.total = noise_variance(of_seeds);
  parts.evaluation = squares / ((n - 1) * (count - 1)) / count;
  parts.seed = rest_of(parts.total, parts.evaluation);
  parts.shared_windows = rest_of(noise_variance(of_windows) / count, parts.evaluation / n);
  return parts;
}

}  // namespace nexus
