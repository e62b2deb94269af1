#include "tasks/packed_requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/rng.h"

namespace nexus {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// What the run of `row` sees up to that row, as tokens: its own sequence.
std::vector<int32_t> sequence_of(const PackedRequests& packed, int32_t row) {
  const std::vector<int32_t>& runs = packed.layout.runs;
  for (size_t run = 0; run < runs.size(); run += 4) {
    if (row < runs[run] || row >= runs[run] + runs[run + 1]) continue;
    const int32_t seen = runs[run + 3] - runs[run + 1] + (row - runs[run]) + 1;
    std::vector<int32_t> tokens;
    for (int32_t j = 0; j < seen; ++j) {
      const auto slot = static_cast<size_t>(packed.layout.keys[static_cast<size_t>(runs[run + 2] + j)]);
      EXPECT_EQ(packed.layout.positions[slot], j);
      tokens.push_back(packed.tokens[slot]);
    }
    return tokens;
  }
  ADD_FAILURE() << "row " << row << " is in no run";
  return {};
}

// Every output predicts its target from exactly the tokens before it.
void expect_right(const std::vector<ScoreRequest>& requests, int64_t batch_tokens, int64_t row_step = 1) {
  std::vector<bool> seen(requests.size(), false);
  for (const RequestBatch& batch : make_request_batches(requests, batch_tokens, row_step)) {
    const PackedRequests packed = pack_requests(requests, batch);
    const RaggedExtents extents = packed.layout.extents();
    EXPECT_EQ(extents.rows, batch.extents.rows);
    EXPECT_EQ(extents.rows % row_step, 0);
    EXPECT_EQ(extents.runs, batch.extents.runs);
    EXPECT_EQ(extents.keys, batch.extents.keys);
    EXPECT_EQ(extents.outputs, batch.extents.outputs);
    EXPECT_EQ(std::ssize(packed.tokens), extents.rows);
    size_t output = 0;
    for (const size_t number : batch.numbers) {
      EXPECT_FALSE(seen[number]);
      seen[number] = true;
      const std::vector<int32_t>& ids = requests[number].ids;
      for (size_t at = ids.size() - static_cast<size_t>(requests[number].scored); at < ids.size(); ++at, ++output) {
        EXPECT_EQ(sequence_of(packed, packed.layout.outputs[output]),
                  std::vector(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(at)));
        EXPECT_EQ(packed.targets[output], ids[at]);
      }
    }
    for (; output < packed.targets.size(); ++output) EXPECT_EQ(packed.targets[output], -1);
  }
  EXPECT_THAT(seen, ::testing::Each(true));
}

TEST(PackedRequests, ShareWhatTheyBeginWith) {
  // A context of five with three choices, of which one is a token: its logits are those of the context's last row.
  const std::vector<ScoreRequest> requests{
      {{1, 5, 6, 7, 8, 20, 21}, 2}, {{1, 5, 6, 7, 8, 30}, 1}, {{1, 5, 6, 7, 8, 20, 22, 23}, 3}};
  const std::vector<RequestBatch> batches = make_request_batches(requests, 100);
  ASSERT_EQ(batches.size(), 1U);
  const PackedRequests packed = pack_requests(requests, batches[0]);
  EXPECT_THAT(std::vector<int32_t>(packed.tokens.begin(), packed.tokens.begin() + 7),
              ElementsAre(1, 5, 6, 7, 8, 20, 22));
  EXPECT_EQ(batches[0].extents.rows, 12);  // 7, and steps of 100 / 16
  EXPECT_THAT(packed.layout.runs, ElementsAre(0, 6, 0, 6, 6, 1, 6, 7));
  EXPECT_EQ(packed.layout.longest, 6);
  EXPECT_EQ(packed.layout.pairs, 21 + 7);
  expect_right(requests, 100);
}

TEST(PackedRequests, OfOneBatchEachShareNothing) {
  const std::vector<ScoreRequest> requests{{{1, 2, 3}, 1}, {{1, 2, 4}, 1}};
  EXPECT_EQ(make_request_batches(requests, 1).size(), 2U);
  EXPECT_EQ(make_request_batches(requests, 2).size(), 1U);  // two rows, two outputs
  EXPECT_THAT(make_request_batches({}, 8), IsEmpty());
  expect_right(requests, 1);
}

// Requests that are equal, or one the beginning of another, as they come.
TEST(PackedRequests, PredictEachTokenFromThoseBeforeIt) {
  const RandomStream random(3, "requests");
  std::vector<ScoreRequest> requests;
  for (uint64_t i = 0; i < 200; ++i) {
    ScoreRequest request;
    const uint64_t size = 2 + random.below(100 * i, 12);
    for (uint64_t j = 0; j < size; ++j) request.ids.push_back(static_cast<int32_t>(random.below(100 * i + j + 1, 3)));
    request.scored = 1 + static_cast<int64_t>(random.below(100 * i + 99, size - 1));
    requests.push_back(request);
  }
  for (const int64_t batch_tokens : {1, 7, 64, 1000, 100000}) {
    expect_right(requests, batch_tokens);
    expect_right(requests, batch_tokens, 3);
  }
}

}  // namespace
}  // namespace nexus
