// A workload of the tests, as far from text as one can be: a sample is a set of points, vectors of kFeatures numbers,
// and a model predicts one number of it. All points see each other, sets differ in size, points have no order; the loss
// is the squared error, the metric R^2. It proves the door of model/workload.h.
#pragma once

#include <string>
#include <vector>

#include "model/workload.h"

namespace nexus::testing {

constexpr int64_t kFeatures = 3;

// `sets`: kFeatures numbers for each point of a set.
void write_point_sets(const std::string& path, const std::vector<std::vector<float>>& sets,
                      const std::vector<float>& targets);
// Sets of 1 to `most` points around the origin, whose target is the mean of their first numbers' squares.
void write_random_point_sets(const std::string& path, int64_t sets, int64_t most, uint64_t seed);

const Workload& point_sets();

}  // namespace nexus::testing
