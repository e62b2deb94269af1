#include "data/sampler.h"

#include <map>
#include <set>

#include "core/rng.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;

// Every window of every dataset is visited once per epoch, and each cycle holds each dataset's quota exactly.
void check_order(const std::vector<int64_t>& windows, const std::vector<double>& weights, uint64_t seed) {
  const SampleOrder order(windows, weights, seed);
  // Enough cycles for one whole epoch of each dataset.
  int64_t cycles = 1;
  for (size_t d = 0; d < windows.size(); ++d)
    cycles = std::max(cycles, windows[d] / order.quota(static_cast<int64_t>(d)) + 1);
  std::vector<std::map<int64_t, std::set<int64_t>>> seen(windows.size());
  std::vector<int64_t> visits(windows.size(), 0);
  for (int64_t cycle = 0; cycle < cycles; ++cycle) {
    for (int64_t i = 0; i < order.cycle(); ++i) {
      const SampleLocation place = order.locate(cycle * order.cycle() + i);
      const auto d = static_cast<size_t>(place.dataset);
      ASSERT_LT(d, windows.size());
      ASSERT_TRUE(0 <= place.index && place.index < windows[d]);
      ASSERT_TRUE(seen[d][place.epoch].insert(place.index).second) << "twice in one epoch";
      ++visits[d];
    }
    for (size_t d = 0; d < windows.size(); ++d)
      ASSERT_EQ(visits[d], (cycle + 1) * order.quota(static_cast<int64_t>(d)));
  }
  for (size_t d = 0; d < windows.size(); ++d) {
    for (int64_t epoch = 0; epoch < visits[d] / windows[d]; ++epoch)
      ASSERT_EQ(static_cast<int64_t>(seen[d][epoch].size()), windows[d]) << "epoch " << epoch;
  }
}

TEST(SampleOrder, VisitsEachWindowOncePerEpochInRandomCases) {
  const RandomStream random(11, "sampler cases");
  for (uint64_t i = 0; i < 200; ++i) {
    const auto windows = static_cast<int64_t>(1 + random.below(2 * i, 300));
    const uint64_t seed = random.bits(2 * i + 1);
    const SampleOrder order({windows}, {1.0}, seed);
    for (int64_t epoch = 0; epoch < 3; ++epoch) {
      std::set<int64_t> visited;
      for (int64_t k = 0; k < windows; ++k) {
        const SampleLocation place = order.locate(epoch * windows + k);
        ASSERT_EQ(place.epoch, epoch);
        visited.insert(place.index);
      }
      ASSERT_EQ(static_cast<int64_t>(visited.size()), windows) << "case " << i;
    }
  }
}

TEST(SampleOrder, KeepsTheQuotasOfMixturesInRandomCases) {
  const RandomStream random(12, "mixture cases");
  for (uint64_t i = 0; i < 12; ++i) {
    std::vector<int64_t> windows;
    std::vector<double> weights;
    for (uint64_t d = 0; d < 2 + i % 4; ++d) {
      windows.push_back(static_cast<int64_t>(1 + random.below(100 * i + d, 4000)));
      weights.push_back(0.05 + random.uniform(100 * i + 50 + d));
    }
    check_order(windows, weights, random.bits(i));
  }
}

TEST(SampleOrder, IsTheSameWhateverWasAskedBefore) {
  const SampleOrder order({1000, 70}, {3, 1}, 5), fresh({1000, 70}, {3, 1}, 5);
  std::vector<SampleLocation> forward;
  for (int64_t g = 0; g < 500; ++g) forward.push_back(order.locate(g));
  for (int64_t g = 499; g >= 0; --g) EXPECT_EQ(fresh.locate(g), forward[static_cast<size_t>(g)]);
}

TEST(SampleOrder, DiffersBetweenSeedsAndEpochs) {
  const SampleOrder a({1000}, {1}, 5), b({1000}, {1}, 6);
  int same_seed = 0, same_epoch = 0;
  for (int64_t g = 0; g < 1000; ++g) {
    same_seed += a.locate(g).index == b.locate(g).index;
    same_epoch += a.locate(g).index == a.locate(g + 1000).index;
  }
  // Two random permutations agree in 1 place on average; over 12 has a probability below 1e-9, and the seeds are fixed.
  EXPECT_LE(same_seed, 12);
  EXPECT_LE(same_epoch, 12);
}

TEST(SampleOrder, RoundsQuotasByLargestRemainderAndStarvesNobody) {
  EXPECT_EQ(SampleOrder({9, 9, 9}, {0.7, 0.2, 0.1}, 1).quota(0), 7000);
  const SampleOrder thirds({9, 9, 9}, {1, 1, 1}, 1);
  EXPECT_EQ(thirds.quota(0) + thirds.quota(1) + thirds.quota(2), SampleOrder::kCycle);
  EXPECT_EQ(thirds.quota(2), 3333);
  const SampleOrder tiny({9, 9, 9}, {1, 1e-12, 1e-12}, 1);
  EXPECT_EQ(tiny.quota(0), 9998);
  EXPECT_EQ(tiny.quota(1), 1);
}

TEST(SampleOrder, RefusesWeightsThatAreNotPositive) {
  for (const double weight : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()})
    EXPECT_NEXUS_ERROR(SampleOrder({5, 5}, {1.0, weight}, 1), ErrorKind::kConfig, HasSubstr("weight"));
}

TEST(Sampler, NeedsAtLeastOneDataSet) {
  EXPECT_NEXUS_ERROR(Sampler({}, 1), ErrorKind::kConfig, HasSubstr("no training data"));
}

}  // namespace
}  // namespace nexus
