// What both passes of blocked attention share: block sizes, and packing of strided activations of type T into dense,
// padded blocks of the arithmetic type. Padding is zero, so that padded rows and columns contribute nothing to a
// product.
#pragma once

#include <algorithm>

#include "backend/backend.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/scalar.h"
#include "backend/cpu/small_gemm.h"

namespace nexus::cpu {

// Rows of a query block and of a key block. 64 x 64 scores (16 KiB in f32) and the operands stay in a 48 KiB L1 cache.
constexpr int64_t kAttentionBlock = 64;

// How many tokens of each sample exist: all, unless there are lengths.
inline std::vector<int64_t> tokens_of_samples(const Attention& op, const Tensor& lengths) {
  std::vector<int64_t> tokens(static_cast<size_t>(op.batch), op.context);
  if (!lengths.defined()) return tokens;
  for (size_t sample = 0; sample < tokens.size(); ++sample) {
    tokens[sample] = lengths.as<int32_t>()[sample];
    NX_CHECK(tokens[sample] >= 0 && tokens[sample] <= op.context, "sample {} has {} of {} tokens", sample,
             tokens[sample], op.context);
  }
  return tokens;
}

// Extents of one head of a sample of `count` tokens, padded.
template <typename C>
struct HeadExtents {
  HeadExtents(int64_t head_dim, int64_t count, bool is_causal)
      : tokens(count),
        dim(head_dim),
        padded_dim(padded_columns<C>(head_dim)),
        blocks((count + kAttentionBlock - 1) / kAttentionBlock),
        causal(is_causal) {}
  HeadExtents(const Attention& op, int64_t count) : HeadExtents(op.head_dim, count, op.causal()) {}
  // Tokens of block `block` that exist.
  int64_t rows(int64_t block) const { return std::min(kAttentionBlock, tokens - block * kAttentionBlock); }
  // Blocks of keys that a block of queries sees, from the first on; of that on the diagonal row i sees i + 1 keys.
  int64_t visible_blocks(int64_t queries) const { return causal ? queries + 1 : blocks; }
  bool is_diagonal(int64_t queries, int64_t keys) const { return causal && queries == keys; }
  int64_t row_block_size() const { return kAttentionBlock * padded_dim; }  // elements of a packed block of rows
  int64_t column_block_size() const { return kAttentionBlock * dim; }      // elements of a packed transposed block

  int64_t tokens, dim, padded_dim, blocks;
  bool causal;
};

// Zeros for the rows of one head that no token of the sample has.
template <typename T>
void clear_rows(T* head, int64_t ld, int64_t dim, int64_t begin, int64_t end) {
  for (int64_t token = begin; token < end; ++token)
    std::fill(head + token * ld, head + token * ld + dim, T(Wide<T>(0)));
}

// `rows` rows as [kAttentionBlock, padded_dim], times `factor`; `row(i)` is where row i begins.
template <typename C, typename Row>
void pack_each_row(const HeadExtents<C>& size, int64_t rows, const Row& row, C factor, C* to) {
  std::fill(to, to + size.row_block_size(), C(0));
  for (int64_t i = 0; i < rows; ++i) {
    const auto* from = row(i);
#pragma omp simd
    for (int64_t d = 0; d < size.dim; ++d) to[i * size.padded_dim + d] = factor * C(from[d]);
  }
}

// The same transposed: [dim, kAttentionBlock].
template <typename C, typename Row>
void pack_each_column(const HeadExtents<C>& size, int64_t rows, const Row& row, C* to) {
  std::fill(to, to + size.column_block_size(), C(0));
  for (int64_t i = 0; i < rows; ++i) {
    const auto* from = row(i);
    for (int64_t d = 0; d < size.dim; ++d) to[d * kAttentionBlock + i] = C(from[d]);
  }
}

// One block of tokens that lie one after the other.
template <typename T>
void pack_rows(const HeadExtents<Wide<T>>& size, const T* from, int64_t ld, int64_t block, Wide<T> factor,
               Wide<T>* to) {
  from += block * kAttentionBlock * ld;
  pack_each_row(
      size, size.rows(block), [=](int64_t i) { return from + i * ld; }, factor, to);
}
template <typename T>
void pack_columns(const HeadExtents<Wide<T>>& size, const T* from, int64_t ld, int64_t block, Wide<T>* to) {
  from += block * kAttentionBlock * ld;
  pack_each_column(
      size, size.rows(block), [=](int64_t i) { return from + i * ld; }, to);
}

// Hands out aligned pieces of one thread's scratch memory.
template <typename C>
class Pieces {
 public:
  explicit Pieces(int64_t count) : next_(thread_scratch<C>(count)), end_(next_ + count) {}
  C* take(int64_t count) {
    C* piece = next_;
    next_ += padded(count);
    NX_CHECK(next_ <= end_, "scratch is too small");
    return piece;
  }
  // Keeps every piece on a 64-byte boundary.
  static int64_t padded(int64_t count) { return (count + 15) / 16 * 16; }

 private:
  C* next_;
  C* end_;
};

}  // namespace nexus::cpu
