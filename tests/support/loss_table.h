// Loss tables without training: arms by seeds by validation windows, with planted effects and noise. For tests of what
// judges studies.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "statistics/interval.h"

namespace nexus {

// Of mean 0 and variance 1.
enum class NoiseShape {
  kNormal,
  kHeavyTails,  // Student's t of 3 degrees of freedom: symmetric, no fourth moment
  kOneSided     // exponential: most seeds a little better, some far worse
};

// One number after the other.
class NoiseSource {
 public:
  NoiseSource(uint64_t seed, std::string_view name) : stream_(seed, name) {}
  double normal() const { return stream_.normal(next_++); }
  double next(NoiseShape shape) const {
    if (shape == NoiseShape::kNormal) return normal();
    if (shape == NoiseShape::kOneSided) return -std::log(1 - stream_.uniform(next_++)) - 1;
    const double z = normal(), a = normal(), b = normal(), c = normal();
    return z / std::sqrt(a * a + b * b + c * c);  // t / sqrt(3), whose variance is 1
  }

 private:
  RandomStream stream_;
  mutable uint64_t next_ = 0;
};

struct LossTableOptions {
  int seeds = 3, windows = 16;
  double effect = -0.012;                           // of arm 1 against arm 0
  double parent_sd = 0.05;                          // the same in both arms of a seed
  double training_sd = 0.004;                       // of each arm of each seed
  double window_sd = 0.3, window_of_arm_sd = 0.01;  // the same in all seeds
  double rest_sd = 0.02;                            // of each window of each arm of each seed
  NoiseShape shape = NoiseShape::kNormal;           // of parents and trainings
};

class LossTable {
 public:
  LossTable(const LossTableOptions& options, const NoiseSource& noise) {
    std::vector<double> parents, windows;
    for (int seed = 0; seed < options.seeds; ++seed) parents.push_back(options.parent_sd * noise.next(options.shape));
    for (int w = 0; w < options.windows; ++w) windows.push_back(options.window_sd * noise.normal());
    for (int arm = 0; arm < 2; ++arm) {
      std::vector<double> of_arm;
      for (const double window : windows)
        of_arm.push_back(3.5 + arm * options.effect + window + options.window_of_arm_sd * noise.normal());
      expected_.push_back(mean_and_sd(of_arm).mean);
      loss_.emplace_back();
      for (const double parent : parents) {
        const double seed = parent + options.training_sd * noise.next(options.shape);
        loss_[arm].emplace_back();
        for (const double window : of_arm)
          loss_[arm].back().push_back(window + seed + options.rest_sd * noise.normal());
      }
    }
  }
  // Of each window, and their mean.
  const std::vector<double>& windows(int arm, int seed) const { return loss_[arm][seed]; }
  double loss(int arm, int seed) const { return mean_and_sd(windows(arm, seed)).mean; }
  SeedValues losses(int arm) const {
    SeedValues values;
    for (size_t seed = 0; seed < loss_[arm].size(); ++seed)
      values[std::to_string(seed)] = loss(arm, static_cast<int>(seed));
    return values;
  }
  // What the arm's seeds scatter about on these windows.
  double expected(int arm) const { return expected_[arm]; }

 private:
  std::vector<std::vector<std::vector<double>>> loss_;  // [arm][seed][window]
  std::vector<double> expected_;                        // [arm]
};

}  // namespace nexus
