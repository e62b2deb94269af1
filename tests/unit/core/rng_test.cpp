#include "core/rng.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "support/expect_error.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;
using Words = std::array<uint32_t, 4>;

// Philox4x32-10 written from the paper (Salmon et al. 2011, section 3.3), independently of the library in use.
Words philox(Words counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t left = uint64_t{0xD2511F53u} * counter[0], right = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(right >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(right),
               static_cast<uint32_t>(left >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(left)};
    key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
  }
  return counter;
}

TEST(Philox, ReferenceOfThisTestGivesThePublishedAnswers) {
  // From Random123's kat_vectors, philox4x32 10.
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, BitsArePhiloxOfIndexUnderAKeyFromSeedAndName) {
  const std::string name = "layers.3.attn.q.w_m";
  const uint64_t seed = 0x123456789abcdef0;
  const uint64_t key = XXH3_64bits_withSeed(name.data(), name.size(), seed);
  const auto salt = static_cast<uint32_t>(seed ^ (seed >> 32));
  const RandomStream stream(seed, name);
  for (const uint64_t index : {uint64_t{0}, uint64_t{1}, uint64_t{77}, uint64_t{1} << 40, ~uint64_t{0}}) {
    const Words words = philox({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), salt, 0},
                               {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)});
    EXPECT_EQ(stream.bits(index), uint64_t{words[1]} << 32 | words[0]) << index;
  }
}

TEST(RandomStream, IsAPureFunctionOfSeedNameAndIndex) {
  const RandomStream stream(1, "x"), same(1, "x"), other_seed(2, "x"), other_name(1, "y");
  EXPECT_EQ(stream.bits(5), same.bits(5));
  EXPECT_EQ(stream.normal(5), same.normal(5));
  const double backwards = (stream.normal(9), stream.normal(3));
  EXPECT_EQ(backwards, same.normal(3));
  EXPECT_NE(stream.bits(5), other_seed.bits(5));
  EXPECT_NE(stream.bits(5), other_name.bits(5));
  EXPECT_NE(stream.bits(5), stream.bits(6));
}

TEST(RandomStream, UniformLiesInTheUnitIntervalAndIsEven) {
  const RandomStream stream(7, "uniform");
  constexpr int kDraws = 200'000, kBins = 20;
  std::array<int, kBins> bins{};
  for (int i = 0; i < kDraws; ++i) {
    const double value = stream.uniform(static_cast<uint64_t>(i));
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    ++bins[static_cast<size_t>(value * kBins)];
  }
  double chi_square = 0;
  constexpr double kExpected = double{kDraws} / kBins;
  for (const int bin : bins) chi_square += (bin - kExpected) * (bin - kExpected) / kExpected;
  EXPECT_LT(chi_square, 43.8);  // 19 degrees of freedom, probability 0.001
}

TEST(RandomStream, BelowStaysUnderTheBoundAndReachesEveryValue) {
  const RandomStream stream(7, "below");
  std::set<uint64_t> seen;
  for (uint64_t i = 0; i < 1000; ++i) seen.insert(stream.below(i, 10));
  EXPECT_EQ(seen.size(), 10u);
  EXPECT_EQ(*seen.rbegin(), 9u);
  EXPECT_EQ(stream.below(3, 1), 0u);
  EXPECT_LT(stream.below(3, ~uint64_t{0}), ~uint64_t{0});
  EXPECT_NEXUS_ERROR(stream.below(0, 0), ErrorKind::kInternal, HasSubstr("bound > 0"));
}

TEST(RandomStream, NormalHasTheMomentsOfTheStandardNormal) {
  const RandomStream stream(7, "normal");
  constexpr int kDraws = 400'000;
  double sum1 = 0, sum2 = 0, sum3 = 0, sum4 = 0, neighbours = 0, previous = 0, largest = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double z = stream.normal(static_cast<uint64_t>(i));
    ASSERT_TRUE(std::isfinite(z));
    sum1 += z;
    sum2 += z * z;
    sum3 += z * z * z;
    sum4 += z * z * z * z;
    neighbours += z * previous;  // also the two halves of one Box-Muller pair
    previous = z;
    largest = std::max(largest, std::abs(z));
  }
  // Five standard errors: of the k-th moment sqrt(variance of z^k / n), variances 1, 2, 15, 96; of the product 1.
  const double root = std::sqrt(double{kDraws});
  EXPECT_NEAR(sum1 / kDraws, 0.0, 5 * std::sqrt(1.0) / root);
  EXPECT_NEAR(sum2 / kDraws, 1.0, 5 * std::sqrt(2.0) / root);
  EXPECT_NEAR(sum3 / kDraws, 0.0, 5 * std::sqrt(15.0) / root);
  EXPECT_NEAR(sum4 / kDraws, 3.0, 5 * std::sqrt(96.0) / root);
  EXPECT_NEAR(neighbours / kDraws, 0.0, 5 / root);
  EXPECT_GT(largest, 4.0);  // 400,000 draws leave 4 sigma 25 times on average
}

TEST(RandomPermutation, VisitsEveryIndexOnceForEverySize) {
  std::vector<uint64_t> sizes(300);
  std::iota(sizes.begin(), sizes.end(), 1);
  sizes.insert(sizes.end(), {1000, 1023, 1024, 1025, 4096, 65535, 65536, 65537, 100'003});
  for (const uint64_t size : sizes) {
    const RandomPermutation permutation(size, 11, "samples");
    std::vector<bool> seen(size);
    for (uint64_t i = 0; i < size; ++i) {
      const uint64_t at = permutation.at(i);
      ASSERT_LT(at, size);
      ASSERT_FALSE(seen[at]) << "size " << size << " visits " << at << " twice";
      seen[at] = true;
    }
  }
}

TEST(RandomPermutation, HandlesSizesBeyondThirtyTwoBits) {
  const uint64_t size = (uint64_t{1} << 62) + 12345;
  const RandomPermutation permutation(size, 11, "samples");
  std::set<uint64_t> seen;
  for (uint64_t i = 0; i < 1000; ++i) {
    const uint64_t at = permutation.at(i * (size / 1000));
    EXPECT_LT(at, size);
    seen.insert(at);
  }
  EXPECT_EQ(seen.size(), 1000u);
}

TEST(RandomPermutation, DependsOnSeedAndNameOnly) {
  const RandomPermutation a(1000, 1, "x"), same(1000, 1, "x"), seed(1000, 2, "x"), name(1000, 1, "y");
  int equal_seed = 0, equal_name = 0, fixed = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(a.at(i), same.at(i));
    equal_seed += a.at(i) == seed.at(i);
    equal_name += a.at(i) == name.at(i);
    fixed += a.at(i) == i;
  }
  // Two random permutations agree in 1 place on average (Poisson): 10 has probability 1e-8.
  EXPECT_LT(equal_seed, 10);
  EXPECT_LT(equal_name, 10);
  EXPECT_LT(fixed, 10);
}

TEST(RandomPermutation, SendsTheFirstIndexEverywhereEvenly) {
  constexpr uint64_t kSize = 10;
  constexpr int kSeeds = 10'000;
  std::array<int, kSize> count{};
  for (int seed = 0; seed < kSeeds; ++seed) ++count[RandomPermutation(kSize, static_cast<uint64_t>(seed), "x").at(0)];
  double chi_square = 0;
  constexpr double kExpected = double{kSeeds} / kSize;
  for (const int n : count) chi_square += (n - kExpected) * (n - kExpected) / kExpected;
  EXPECT_LT(chi_square, 27.9);  // 9 degrees of freedom, probability 0.001
}

TEST(RandomPermutation, RefusesIndicesOutside) {
  EXPECT_NEXUS_ERROR(RandomPermutation(0, 1, "x"), ErrorKind::kInternal, HasSubstr("size > 0"));
  EXPECT_NEXUS_ERROR(RandomPermutation(3, 1, "x").at(3), ErrorKind::kInternal, HasSubstr("index 3 of 3"));
}

}  // namespace
}  // namespace nexus
