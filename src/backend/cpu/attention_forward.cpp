// Blocked attention with an online softmax (Dao et al. 2022, FlashAttention, algorithm 1, with queries
// outermost): memory is a block of scores per thread, never context x context.
#include <cmath>
#include <limits>

#include "backend/cpu/attention_blocks.h"
#include "backend/cpu/device.h"

namespace nexus::cpu {

namespace {

constexpr int64_t kBlock = kAttentionBlock;

// Running softmax of one block of queries.
template <typename C>
struct SoftmaxState {
  C highest[kBlock], sum[kBlock];
};

// Turns scores of one key block into unnormalised probabilities, and rescales what was summed before. Only the first
// `visible` keys of a row count; on the diagonal block row i sees i + 1 keys.
template <typename C>
void softmax_block(C* scores, int64_t rows, int64_t keys, bool diagonal, SoftmaxState<C>& state, C* out, int64_t ldo) {
  for (int64_t i = 0; i < rows; ++i) {
    C* row = scores + i * kBlock;
    const int64_t visible = diagonal ? i + 1 : keys;
    C highest = state.highest[i], sum = 0;
#pragma omp simd reduction(max : highest)
    for (int64_t j = 0; j < visible; ++j) highest = row[j] > highest ? row[j] : highest;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < visible; ++j) {
      row[j] = vexp(row[j] - highest);
      sum += row[j];
    }
    std::fill(row + visible, row + kBlock, C(0));
    const C shrink = vexp(state.highest[i] - highest);
    state.highest[i] = highest;
    state.sum[i] = state.sum[i] * shrink + sum;
#pragma omp simd
    for (int64_t d = 0; d < ldo; ++d) out[i * ldo + d] *= shrink;
  }
}

// One query block of one head. `keys` and `values` are the packed blocks of its kv head.
template <typename T>
class QueryBlock {
  using C = Wide<T>;

 public:
  explicit QueryBlock(const HeadExtents<C>& size, Pieces<C>& pieces)
      : size_(size),
        queries_(pieces.take(size.row_block_size())),
        sums_(pieces.take(size.row_block_size())),
        scores_(pieces.take(kBlock * kBlock)) {}
  static int64_t scratch_count(const HeadExtents<C>& size) {
    return 2 * Pieces<C>::padded(size.row_block_size()) + kBlock * kBlock;
  }

  void run(const T* q, int64_t ld, int64_t block, const C* keys, const C* values, T* out, int64_t ld_out,
           C* logsumexp) {
    const int64_t rows = size_.rows(block);
    pack_rows(size_, q, ld, block, C(1) / std::sqrt(static_cast<C>(size_.dim)), queries_);
    std::fill(sums_, sums_ + size_.row_block_size(), C(0));
    std::fill(state_.highest, state_.highest + kBlock, -std::numeric_limits<C>::infinity());
    std::fill(state_.sum, state_.sum + kBlock, C(0));
    for (int64_t other = 0; other < size_.visible_blocks(block); ++other) {
      small_gemm<C>(kBlock, kBlock, size_.dim, {queries_, size_.padded_dim, 1},
                    keys + other * size_.column_block_size(), kBlock, scores_, kBlock, false);
      softmax_block(scores_, rows, size_.rows(other), size_.is_diagonal(block, other), state_, sums_, size_.padded_dim);
      small_gemm<C>(kBlock, size_.padded_dim, kBlock, {scores_, kBlock, 1}, values + other * size_.row_block_size(),
                    size_.padded_dim, sums_, size_.padded_dim, true);
    }
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t token = block * kBlock + i;
      const C scale = C(1) / state_.sum[i];
#pragma omp simd
      for (int64_t d = 0; d < size_.dim; ++d) store(out[token * ld_out + d], scale * sums_[i * size_.padded_dim + d]);
      logsumexp[token] = state_.highest[i] + std::log(state_.sum[i]);
    }
  }

 private:
  const HeadExtents<C>& size_;
  C* queries_;
  C* sums_;
  C* scores_;
  SoftmaxState<C> state_;
};

template <typename T>
void forward(const ops::AttentionForward& call) {
  using C = Wide<T>;
  const Attention& op = call.options;
  const std::vector<int64_t> tokens = tokens_of_samples(op, call.lengths);
  const int64_t group = op.heads / op.kv_heads, ld_out = op.heads * op.head_dim;
  const T *queries = call.q.as<T>(), *keys = call.k.as<T>(), *values = call.v.as<T>();
  T* output = call.out.as<T>();
  C* statistics = call.logsumexp.as<C>();
  parallel_for(op.batch * op.kv_heads, [&](int64_t task) {
    const int64_t batch = task / op.kv_heads, kv_head = task % op.kv_heads;
    const int64_t first = batch * op.context;
    const HeadExtents<C> size(op, tokens[static_cast<size_t>(batch)]);
    const int64_t kv_at = first * op.ld + kv_head * op.head_dim;
    Pieces<C> pieces(size.blocks * (size.column_block_size() + size.row_block_size()) +
                     QueryBlock<T>::scratch_count(size));
    C* packed_keys = pieces.take(size.blocks * size.column_block_size());
    C* packed_values = pieces.take(size.blocks * size.row_block_size());
    for (int64_t block = 0; block < size.blocks; ++block) {
      pack_columns(size, keys + kv_at, op.ld, block, packed_keys + block * size.column_block_size());
      pack_rows(size, values + kv_at, op.ld, block, C(1), packed_values + block * size.row_block_size());
    }
    QueryBlock<T> work(size, pieces);
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      T* head_output = output + first * ld_out + head * op.head_dim;
      C* head_statistics = statistics + (batch * op.heads + head) * op.context;
      for (int64_t block = 0; block < size.blocks; ++block)
        work.run(queries + first * op.ld + head * op.head_dim, op.ld, block, packed_keys, packed_values, head_output,
                 ld_out, head_statistics);
      clear_rows(head_output, ld_out, op.head_dim, size.tokens, op.context);
      std::fill(head_statistics + size.tokens, head_statistics + op.context, C(0));
    }
  });
}

}  // namespace

template <>
void compute(const ops::AttentionForward& op, Device&) {
  with_scalar(op.q.dtype, [&]<typename T>() { forward<T>(op); });
}

}  // namespace nexus::cpu
