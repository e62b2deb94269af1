// Counter-based random numbers (Philox4x32-10, Salmon et al. 2011, through Random123).
//
// A value is a pure function of (seed, name, index): initial weights and the sample order do not depend on the number
// of ranks, threads or the order of evaluation, and there is no generator state to save.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace nexus {

class RandomStream {
 public:
  RandomStream(uint64_t seed, std::string_view name);
  // 64 uniform bits of counter `index`.
  uint64_t bits(uint64_t index) const;
  // Uniform in [0, 1).
  double uniform(uint64_t index) const;
  // Uniform in [0, bound); unbiased to 2^-64.
  uint64_t below(uint64_t index, uint64_t bound) const;
  // Standard normal of logical index `index` (Box-Muller on one Philox block, f64 arithmetic).
  double normal(uint64_t index) const;

 private:
  std::array<uint32_t, 2> key_;
  uint32_t salt_;
};

// A keyed permutation of [0, size): `at` is a bijection computed without memory (cycle-walking Feistel network).
class RandomPermutation {
 public:
  RandomPermutation(uint64_t size, uint64_t seed, std::string_view name);
  uint64_t size() const { return size_; }
  uint64_t at(uint64_t index) const;

 private:
  uint64_t size_;
  int half_bits_;
  RandomStream stream_;
};

}  // namespace nexus
