#include "workloads/text/token_windows.h"

#include <set>
#include <thread>

#include "data/sampler.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "support/text_batch.h"
#include "workloads/text/token_file_info.h"

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
  const HostBatch host(sampler[0].fields(), 2);
  sampler.fetch(sample, host.batch(), 1);
  const auto row = [&](const char* field) {
    const Tensor ids = host.batch().at(field).rows(1, 1);
    return std::vector<int32_t>(ids.as<int32_t>(), ids.as<int32_t>() + ids.count());
  };
  return {row("tokens"), row("targets")};
}

struct WeightedFile {
  std::string prefix;
  double weight = 1;
};

Sampler sampler_of(const std::vector<WeightedFile>& files, int64_t context, uint64_t seed, int64_t vocab) {
  std::vector<Sampler::Weighted> sets;
  for (const WeightedFile& file : files)
    sets.push_back({std::make_unique<TokenWindows>(file.prefix, context, vocab), file.weight});
  return Sampler(std::move(sets), seed);
}

TEST(TokenWindows, HoldNeighbouringTokens) {
  const TempFolder folder;
  const Sampler sampler = sampler_of({{counting_file(folder / "t", 66)}}, 8, 1, 66);
  EXPECT_EQ(sampler.samples_per_epoch(), 8);
  std::set<int32_t> targets;
  for (int64_t g = 0; g < 8; ++g) {
    const Windows sample = fetch(sampler, g);
    for (size_t i = 0; i < 8; ++i) {
      EXPECT_EQ(sample.tokens[i], sampler.locate(g).index * 8 + static_cast<int64_t>(i));
      EXPECT_EQ(sample.targets[i], sample.tokens[i] + 1);
      targets.insert(sample.targets[i]);
    }
  }
  EXPECT_EQ(targets.size(), 64u);  // tokens 1..64; token 65 begins no whole window
}

TEST(SamplerOfText, DrawsFromEachDatasetByItsWeight) {
  const TempFolder folder;
  const Sampler sampler =
      sampler_of({{counting_file(folder / "a", 1000), 3.0}, {counting_file(folder / "b", 500, 5000), 1.0}}, 4, 9, 6000);
  int64_t from_b = 0;
  for (int64_t g = 0; g < SampleOrder::kCycle; ++g) {
    const Windows sample = fetch(sampler, g);
    EXPECT_EQ(sample.tokens[0] >= 5000, sampler.locate(g).dataset == 1);
    from_b += sample.tokens[0] >= 5000;
  }
  EXPECT_EQ(from_b, SampleOrder::kCycle / 4);
}

TEST(SamplerOfText, GivesThreadsTheSameSamplesAsOneCaller) {
  const TempFolder folder;
  const Sampler sampler = sampler_of({{counting_file(folder / "t", 5000)}}, 7, 1, 5000);
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

TEST(TokenWindows, RefusesFilesShorterThanOneSample) {
  const TempFolder folder;
  const auto open = [&](int64_t tokens) { return TokenWindows(counting_file(folder / "t", tokens), 8, 100).count(); };
  EXPECT_EQ(open(9), 1);
  EXPECT_NEXUS_ERROR(open(8), ErrorKind::kData,
                     AllOf(HasSubstr("8 tokens are fewer than one sample of 8 + 1"), HasSubstr("data.context")));
  EXPECT_NEXUS_ERROR(open(0), ErrorKind::kData, HasSubstr("0 tokens are fewer"));
}

TEST(TokenWindows, RefusesIdsOutsideTheVocabulary) {
  const TempFolder folder;
  const Sampler sampler = sampler_of({{counting_file(folder / "t", 9)}}, 8, 1, 8);
  EXPECT_NEXUS_ERROR(fetch(sampler, 0), ErrorKind::kData, HasSubstr("token 8 has id 8, outside the vocabulary of 8"));
}

TEST(TokenWindows, CoversTheFileInOrder) {
  const TempFolder folder;
  const TokenWindows windows(counting_file(folder / "t", 30), 7, 30);
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

TEST(TokenWindows, KnowsTheBytesPerTokenOfFilesWithADescription) {
  const TempFolder folder;
  TokenFileInfo info;
  info.tokens = 30;
  info.text_bytes = 75;
  write_token_file_info(counting_file(folder / "t", 30), info);
  EXPECT_DOUBLE_EQ(TokenWindows(folder / "t", 7, 30).bytes_per_token().value(), 2.5);
}

}  // namespace
}  // namespace nexus
