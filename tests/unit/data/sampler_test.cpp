#include "data/sampler.h"

#include <map>
#include <set>
#include <thread>

#include "data/token_file_info.h"
#include "sample_text.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "support/text_batch.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A token file whose token i has the id first_id + i.
std::string counting_file(const std::string& prefix, int64_t tokens, int32_t first_id = 0) {
  TokenFileWriter writer(prefix, TokenType::kInt32);
  for (int32_t i = 0; i < tokens; ++i) {
    const int32_t id = first_id + i;
    writer.append(&id, 1);
  }
  if (tokens > 0) writer.end_document();
  writer.finish();
  return prefix;
}

struct Windows {
  std::vector<int32_t> tokens, targets;
};

Windows fetch(const Sampler& sampler, int64_t sample) {
  const HostBatch host(testing::text_fields(sampler.context()), 2);
  sampler.fetch(sample, host.batch(), 1);
  const auto row = [&](const char* field) {
    const Tensor ids = host.batch().at(field).rows(1, 1);
    return std::vector<int32_t>(ids.as<int32_t>(), ids.as<int32_t>() + ids.count());
  };
  return {row("tokens"), row("targets")};
}

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
      ASSERT_TRUE(0 <= place.window && place.window < windows[d]);
      ASSERT_TRUE(seen[d][place.epoch].insert(place.window).second) << "twice in one epoch";
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
        visited.insert(place.window);
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
    same_seed += a.locate(g).window == b.locate(g).window;
    same_epoch += a.locate(g).window == a.locate(g + 1000).window;
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

TEST(Sampler, FetchesWindowsOfNeighbouringTokens) {
  const TempFolder folder;
  const Sampler sampler({{{counting_file(folder / "t", 66), 1.0}}, "", 8}, 1, 66);
  EXPECT_EQ(sampler.samples_per_epoch(), 8);
  std::set<int32_t> targets;
  for (int64_t g = 0; g < 8; ++g) {
    const Windows sample = fetch(sampler, g);
    for (size_t i = 0; i < 8; ++i) {
      EXPECT_EQ(sample.tokens[i], sampler.locate(g).window * 8 + static_cast<int64_t>(i));
      EXPECT_EQ(sample.targets[i], sample.tokens[i] + 1);
      targets.insert(sample.targets[i]);
    }
  }
  EXPECT_EQ(targets.size(), 64u);  // tokens 1..64; token 65 begins no whole window
}

TEST(Sampler, DrawsFromEachDatasetByItsWeight) {
  const TempFolder folder;
  const DataOptions options{
      {{counting_file(folder / "a", 1000), 3.0}, {counting_file(folder / "b", 500, 5000), 1.0}}, "", 4};
  const Sampler sampler(options, 9, 6000);
  int64_t from_b = 0;
  for (int64_t g = 0; g < SampleOrder::kCycle; ++g) {
    const Windows sample = fetch(sampler, g);
    EXPECT_EQ(sample.tokens[0] >= 5000, sampler.locate(g).dataset == 1);
    from_b += sample.tokens[0] >= 5000;
  }
  EXPECT_EQ(from_b, SampleOrder::kCycle / 4);
}

TEST(Sampler, GivesThreadsTheSameSamplesAsOneCaller) {
  const TempFolder folder;
  const Sampler sampler({{{counting_file(folder / "t", 5000), 1.0}}, "", 7}, 1, 5000);
  constexpr int64_t kSamples = 800;
  std::vector<std::vector<int32_t>> threaded(kSamples, std::vector<int32_t>(7));
  std::vector<std::thread> threads;
  for (int64_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int64_t g = t; g < kSamples; g += 4) threaded[static_cast<size_t>(g)] = fetch(sampler, g).tokens;
    });
  for (std::thread& thread : threads) thread.join();
  for (int64_t g = 0; g < kSamples; ++g) EXPECT_EQ(fetch(sampler, g).tokens, threaded[static_cast<size_t>(g)]);
}

TEST(Sampler, RefusesFilesShorterThanOneSample) {
  const TempFolder folder;
  const auto open = [&](int64_t tokens) {
    return Sampler({{{counting_file(folder / "t", tokens), 1.0}}, "", 8}, 1, 100).samples_per_epoch();
  };
  EXPECT_EQ(open(9), 1);
  EXPECT_NEXUS_ERROR(open(8), ErrorKind::kData,
                     AllOf(HasSubstr("8 tokens are fewer than one sample of 8 + 1"), HasSubstr("data.context")));
  EXPECT_NEXUS_ERROR(open(0), ErrorKind::kData, HasSubstr("0 tokens are fewer"));
}

TEST(Sampler, RefusesIdsOutsideTheVocabulary) {
  const TempFolder folder;
  const Sampler sampler({{{counting_file(folder / "t", 9), 1.0}}, "", 8}, 1, 8);
  EXPECT_NEXUS_ERROR(fetch(sampler, 0), ErrorKind::kData, HasSubstr("token 8 has id 8, outside the vocabulary of 8"));
}

TEST(Sampler, NeedsAtLeastOneDataset) {
  EXPECT_NEXUS_ERROR(Sampler(DataOptions{}, 1, 10), ErrorKind::kConfig, HasSubstr("no training data"));
}

TEST(EvalWindows, CoversTheFileInOrder) {
  const TempFolder folder;
  const EvalWindows windows(counting_file(folder / "t", 30), 7, 30);
  ASSERT_EQ(windows.count(), 4);
  const HostBatch host(testing::text_fields(7), 4);
  for (int64_t w = 0; w < 4; ++w) windows.fetch(w, host.batch(), w);
  for (int32_t i = 0; i < 4 * 7; ++i) {
    EXPECT_EQ(host.batch().at("tokens").as<int32_t>()[i], i);
    EXPECT_EQ(host.batch().at("targets").as<int32_t>()[i], i + 1);
  }
  EXPECT_EQ(windows.bytes_per_token(), std::nullopt);
  EXPECT_NEXUS_ERROR(windows.fetch(4, host.batch(), 0), ErrorKind::kInternal, HasSubstr("window 4 of 4"));
}

TEST(EvalWindows, KnowsTheBytesPerTokenOfFilesWithADescription) {
  const TempFolder folder;
  TokenFileInfo info;
  info.tokens = 30;
  info.text_bytes = 75;
  write_token_file_info(counting_file(folder / "t", 30), info);
  EXPECT_DOUBLE_EQ(EvalWindows(folder / "t", 7, 30).bytes_per_token().value(), 2.5);
}

}  // namespace
}  // namespace nexus
