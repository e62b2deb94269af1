// One block of queries against packed blocks of keys and values: an online softmax (Dao et al. 2022, FlashAttention,
// algorithm 1, with queries outermost).
#pragma once

#include <cmath>
#include <limits>

#include "backend/cpu/attention_blocks.h"

namespace nexus::cpu {

// Running softmax of one block of queries.
template <typename C>
struct SoftmaxState {
  C highest[kAttentionBlock], sum[kAttentionBlock];
};

// Turns scores of one key block into unnormalised probabilities, and rescales what was summed before. Row i sees the
// first `seen` + i of the block's keys, at most all and at least none.
template <typename C>
void softmax_block(C* scores, int64_t rows, int64_t keys, int64_t seen, SoftmaxState<C>& state, C* out, int64_t ldo) {
  for (int64_t i = 0; i < rows; ++i) {
    C* row = scores + i * kAttentionBlock;
    const int64_t visible = std::clamp<int64_t>(seen + i, 0, keys);
    C highest = state.highest[i], sum = 0;
#pragma omp simd reduction(max : highest)
    for (int64_t j = 0; j < visible; ++j) highest = row[j] > highest ? row[j] : highest;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < visible; ++j) {
      row[j] = vexp(row[j] - highest);
      sum += row[j];
    }
    std::fill(row + visible, row + kAttentionBlock, C(0));
    const C shrink = vexp(state.highest[i] - highest);
    state.highest[i] = highest;
    state.sum[i] = state.sum[i] * shrink + sum;
#pragma omp simd
    for (int64_t d = 0; d < ldo; ++d) out[i * ldo + d] *= shrink;
  }
}

// A block of queries of one head. `keys` and `values` are the packed blocks of its kv head, which `size` describes.
template <typename T>
class QueryBlock {
  using C = Wide<T>;

 public:
  explicit QueryBlock(const HeadExtents<C>& size, Pieces<C>& pieces)
      : size_(size),
        queries_(pieces.take(size.row_block_size())),
        sums_(pieces.take(size.row_block_size())),
        scores_(pieces.take(kAttentionBlock * kAttentionBlock)) {}
  static int64_t scratch_count(const HeadExtents<C>& size) {
    return 2 * Pieces<C>::padded(size.row_block_size()) + kAttentionBlock * kAttentionBlock;
  }

  // q, out and logsumexp (which may be null) begin at the block's first row. That row sees `seen` keys, each later one
  // one more; at most all.
  void run(const T* q, int64_t ld, int64_t rows, int64_t seen, const C* keys, const C* values, T* out, int64_t ld_out,
           C* logsumexp) {
    const int64_t padded_rows = (rows + kGemmRows - 1) / kGemmRows * kGemmRows;
    pack_each_row(
        size_, rows, [=](int64_t i) { return q + i * ld; }, C(1) / std::sqrt(static_cast<C>(size_.dim)), queries_);
    std::fill(sums_, sums_ + size_.row_block_size(), C(0));
    std::fill(state_.highest, state_.highest + kAttentionBlock, -std::numeric_limits<C>::infinity());
    std::fill(state_.sum, state_.sum + kAttentionBlock, C(0));
    const int64_t last = std::min(size_.tokens, seen + rows - 1);
    for (int64_t block = 0; block * kAttentionBlock < last; ++block) {
      small_gemm<C>(padded_rows, kAttentionBlock, size_.dim, {queries_, size_.padded_dim, 1},
                    keys + block * size_.column_block_size(), kAttentionBlock, scores_, kAttentionBlock, false);
      softmax_block(scores_, rows, size_.rows(block), seen - block * kAttentionBlock, state_, sums_, size_.padded_dim);
      small_gemm<C>(padded_rows, size_.padded_dim, kAttentionBlock, {scores_, kAttentionBlock, 1},
                    values + block * size_.row_block_size(), size_.padded_dim, sums_, size_.padded_dim, true);
    }
    for (int64_t i = 0; i < rows; ++i) {
      const C scale = C(1) / state_.sum[i];
#pragma omp simd
      for (int64_t d = 0; d < size_.dim; ++d) store(out[i * ld_out + d], scale * sums_[i * size_.padded_dim + d]);
      if (logsumexp != nullptr) logsumexp[i] = state_.highest[i] + std::log(state_.sum[i]);
    }
  }

 private:
  const HeadExtents<C>& size_;
  C* queries_;
  C* sums_;
  C* scores_;
  SoftmaxState<C> state_;
};

}  // namespace nexus::cpu
