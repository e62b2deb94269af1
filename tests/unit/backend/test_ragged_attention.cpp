#include <cmath>

#include "unit/backend/backend_test.h"

namespace nexus::test {
namespace {

struct RaggedCase {
  int64_t heads, kv_heads, head_dim, gap;
  int64_t rows, slots;  // of q; of k and v
  std::vector<int32_t> runs, keys;

  RaggedAttention op() const {
    RaggedAttention op{heads, kv_heads, head_dim, heads * head_dim + gap, 2 * kv_heads * head_dim + gap};
    for (size_t run = 0; run < runs.size(); run += 4) {
      op.longest = std::max<int64_t>(op.longest, runs[run + 1]);
      op.pairs += runs[run + 1] * runs[run + 3];
    }
    return op;
  }
};

// Keys anywhere: every run sees some of a prefix that all share, and then slots drawn at random.
RaggedCase make_ragged(int64_t heads, int64_t kv_heads, int64_t head_dim, int64_t gap,
                       const std::vector<int32_t>& queries, const std::vector<int32_t>& key_counts) {
  RaggedCase c{heads, kv_heads, head_dim, gap, 1, 200, {}, {}};  // the first row is in no run
  for (size_t i = 0; i < queries.size(); ++i) {
    c.runs.insert(c.runs.end(),
                  {static_cast<int32_t>(c.rows), queries[i], static_cast<int32_t>(c.keys.size()), key_counts[i]});
    const std::vector<int32_t> drawn = random_ids(key_counts[i], c.slots);
    for (int32_t j = 0; j < key_counts[i]; ++j) c.keys.push_back(j < 5 ? 3 * j : drawn[static_cast<size_t>(j)]);
    c.rows += queries[i];
  }
  c.rows += 2;  // nor are the last
  return c;
}

// Around the 64 keys of a block, and the 8, 16, 32 and 64 queries that kernels take at a time.
std::vector<RaggedCase> ragged_cases() {
  return {make_ragged(1, 1, 16, 0, {1}, {1}),
          make_ragged(2, 1, 16, 3, {1, 1, 1}, {64, 65, 130}),
          make_ragged(4, 2, 64, 8, {3, 8, 1, 5}, {3, 70, 1, 64}),
          make_ragged(3, 3, 20, 5, {9, 64, 2}, {9, 190, 66}),
          make_ragged(6, 2, 128, 0, {33, 1, 65, 70}, {40, 3, 65, 133}),
          make_ragged(1, 1, 256, 0, {17, 2}, {100, 2})};
}

class RaggedAttentionTest : public EveryType {};

TEST_P(RaggedAttentionTest, MatchesTheLoops) {
  for (const RaggedCase& c : ragged_cases()) {
    SCOPED_TRACE(::testing::Message() << c.heads << "/" << c.kv_heads << " heads of " << c.head_dim << ", "
                                      << c.runs.size() / 4 << " runs");
    const RaggedAttention op = c.op();
    const Values q = random(c.rows * op.q_ld), kv = random(c.slots * op.kv_ld);
    const TestTensor queries(device(), dtype(), {c.rows, op.q_ld}, q),
        cache(device(), dtype(), {c.slots, op.kv_ld}, kv);
    const TestTensor runs(device(), c.runs), keys(device(), c.keys);
    TestTensor out(device(), dtype(), {c.rows, c.heads * c.head_dim});
    const int64_t v_at = c.kv_heads * c.head_dim;
    Tensor v = cache.tensor();
    v.data = static_cast<char*>(v.data) + v_at * size_of(dtype());
    device().run(ops::RaggedAttentionForward{op, queries, cache, v, runs.tensor().reshaped({std::ssize(c.runs) / 4, 4}),
                                             keys, out});
    Values expected(out.values().size(), std::nan(""));
    reference::ragged_attention_forward(op, c.runs, c.keys, q.data(), kv.data(), kv.data() + v_at, expected);
    Values actual = out.values();
    for (size_t i = 0; i < actual.size(); ++i) {
      if (!std::isnan(expected[i])) continue;
      EXPECT_TRUE(std::isnan(actual[i])) << "wrote row " << i / static_cast<size_t>(c.heads * c.head_dim);
      actual[i] = expected[i] = 0;
    }
    // As AttentionTest.ForwardMatchesTheLoops.
    expect_close(actual, expected, relative(), 4 * sum_error(c.head_dim + c.slots), "out");
  }
}

// Sequences of a batch are runs that see their own rows.
TEST_P(RaggedAttentionTest, OfWholeSequencesIsCausalAttention) {
  const int64_t batch = 3, context = 70, heads = 4, kv_heads = 2, head_dim = 16,
                width = (heads + 2 * kv_heads) * head_dim;
  const Attention op{batch, context, heads, kv_heads, head_dim, width};
  const TestTensor packed(device(), dtype(), {op.tokens(), width}, random(op.tokens() * width));
  const auto part = [&](int64_t at) {
    Tensor view = packed.tensor();
    view.data = static_cast<char*>(view.data) + at * size_of(dtype());
    return view;
  };
  const Tensor k = part(heads * head_dim), v = part((heads + kv_heads) * head_dim);
  TestTensor out(device(), dtype(), {op.tokens(), heads * head_dim}),
      ragged(device(), dtype(), {op.tokens(), heads * head_dim});
  TestTensor lse(device(), wide(), {batch, heads, context});
  device().run(ops::AttentionForward{op, packed, k, v, out, lse});
  std::vector<int32_t> runs, keys;
  for (int32_t sample = 0; sample < batch; ++sample) {
    const auto tokens = static_cast<int32_t>(context), first = sample * tokens;
    runs.insert(runs.end(), {first, tokens, first, tokens});
    for (int32_t i = 0; i < tokens; ++i) keys.push_back(first + i);
  }
  const TestTensor run_table(device(), runs), key_table(device(), keys);
  device().run(
      ops::RaggedAttentionForward{{heads, kv_heads, head_dim, width, width, context, batch * context * context},
                                  packed,
                                  k,
                                  v,
                                  run_table.tensor().reshaped({batch, 4}),
                                  key_table,
                                  ragged});
  // The CPU has one kernel for both. cuDNN rounds probabilities to bf16: AttentionTest.ForwardMatchesTheLoops.
  const double absolute = !nexus::testing::kOnGpu   ? 0
                          : dtype() == DType::kBF16 ? 1e-2
                                                    : 4 * sum_error(head_dim + context);
  expect_close(ragged.values(), out.values(), nexus::testing::kOnGpu ? relative() : 0, absolute, "out");
}

NX_FOR_EVERY_TYPE(RaggedAttentionTest);

TEST(RaggedAttention, SharesItsWorkWithoutChangingABit) {
  const RaggedCase c = make_ragged(4, 2, 48, 0, {33, 1, 65, 7}, {40, 3, 65, 133});
  const RaggedAttention op = c.op();
  const Values q = random_values(c.rows * op.q_ld), kv = random_values(c.slots * op.kv_ld);
  std::vector<char> first;
  for_every_sharing_of_work([&](Backend& backend, const std::string& what) {
    const TestTensor queries(backend, DType::kF32, {c.rows, op.q_ld}, q),
        cache(backend, DType::kF32, {c.slots, op.kv_ld}, kv);
    const TestTensor runs(backend, c.runs), keys(backend, c.keys);
    TestTensor out(backend, DType::kF32, {c.rows, c.heads * c.head_dim});
    backend.run(ops::RaggedAttentionForward{op, queries, cache, cache, runs.tensor().reshaped({4, 4}), keys, out});
    if (first.empty()) first = out.raw();
    EXPECT_EQ(out.raw(), first) << what;
  });
}

TEST(RaggedAttention, RefusesTablesOfWhatIsNotThere) {
  NX_CPU_ONLY("a GPU cannot look before it launches");
  RaggedCase c = make_ragged(2, 1, 8, 0, {3, 2}, {4, 2});
  const RaggedAttention op = c.op();
  const TestTensor queries(device(), DType::kF32, {c.rows, op.q_ld}), cache(device(), DType::kF32, {c.slots, op.kv_ld});
  TestTensor out(device(), DType::kF32, {c.rows, c.heads * c.head_dim});
  const auto forward = [&](const std::vector<int32_t>& runs, const std::vector<int32_t>& keys) {
    const TestTensor run_table(device(), runs), key_table(device(), keys);
    device().run(
        ops::RaggedAttentionForward{op, queries, cache, cache, run_table.tensor().reshaped({2, 4}), key_table, out});
  };
  EXPECT_NO_THROW(forward(c.runs, c.keys));
  for (const auto& [entry, value] :
       {std::pair<size_t, int32_t>{0, -1}, {1, 0}, {1, 4}, {2, -1}, {3, 2}, {4, 7}, {6, 5}, {7, 3}}) {
    std::vector<int32_t> runs = c.runs;
    runs[entry] = value;
    EXPECT_THROW(forward(runs, c.keys), Error) << "entry " << entry << " is " << value;
  }
  for (const int32_t slot : {-1, 200}) {
    std::vector<int32_t> keys = c.keys;
    keys[2] = slot;
    EXPECT_THROW(forward(c.runs, keys), Error) << slot;
  }
}

}  // namespace
}  // namespace nexus::test
