// Gradient of blocked attention: probabilities are recomputed from the saved logsumexp (Dao et al. 2022,
// algorithm 4). One task owns a kv head of one sequence with all its query heads, so that dk and dv are summed by one
// thread in a fixed order.
#include <cmath>

#include "backend/cpu/attention_blocks.h"
#include "backend/cpu/device.h"

namespace nexus::cpu {

namespace {

constexpr int64_t kBlock = kAttentionBlock;

// Where one query head of one sequence lies.
template <typename T>
struct QueryHead {
  const T *q, *dout, *out;
  T* dq;
  const Wide<T>* logsumexp;
  Wide<T>* delta;  // rowsum(dout * out)
};

// Everything a task works on.
template <typename T>
class KvHead {
  using C = Wide<T>;

 public:
  KvHead(const Attention& op, const HeadExtents<C>& size)
      : size_(size),
        ld_(op.ld),
        ld_out_(op.heads * op.head_dim),
        pieces_(scratch_count(size)),
        keys_(pieces_.take(size.blocks * size.row_block_size())),
        keys_t_(pieces_.take(size.blocks * size.column_block_size())),
        values_t_(pieces_.take(size.blocks * size.column_block_size())),
        dkeys_(pieces_.take(size.blocks * size.row_block_size())),
        dvalues_(pieces_.take(size.blocks * size.row_block_size())),
        queries_(pieces_.take(size.row_block_size())),
        dqueries_(pieces_.take(size.row_block_size())),
        dout_(pieces_.take(size.row_block_size())),
        probabilities_(pieces_.take(kBlock * kBlock)),
        dscores_(pieces_.take(kBlock * kBlock)) {}

  void load(const T* k, const T* v) {
    for (int64_t block = 0; block < size_.blocks; ++block) {
      pack_rows(size_, k, ld_, block, C(1), keys_ + block * size_.row_block_size());
      pack_columns(size_, k, ld_, block, keys_t_ + block * size_.column_block_size());
      pack_columns(size_, v, ld_, block, values_t_ + block * size_.column_block_size());
    }
    std::fill(dkeys_, dkeys_ + size_.blocks * size_.row_block_size(), C(0));
    std::fill(dvalues_, dvalues_ + size_.blocks * size_.row_block_size(), C(0));
  }

  // Adds one query head's share to dk and dv, and writes its dq.
  void add_head(const QueryHead<T>& head) {
    for (int64_t token = 0; token < size_.tokens; ++token) {
      const T *gradient = head.dout + token * ld_out_, *output = head.out + token * ld_out_;
      C sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t d = 0; d < size_.dim; ++d) sum += C(gradient[d]) * C(output[d]);
      head.delta[token] = sum;
    }
    for (int64_t block = 0; block < size_.blocks; ++block) add_query_block(head, block);
  }

  void write_gradients(T* dk, T* dv) const {
    store_rows(dkeys_, size_.tokens, C(1), dk);
    store_rows(dvalues_, size_.tokens, C(1), dv);
  }

 private:
  static int64_t scratch_count(const HeadExtents<C>& size) {
    return size.blocks * (3 * size.row_block_size() + 2 * size.column_block_size()) + 3 * size.row_block_size() +
           2 * kBlock * kBlock;
  }

  void store_rows(const C* from, int64_t rows, C factor, T* to) const {
    for (int64_t i = 0; i < rows; ++i) {
#pragma omp simd
      for (int64_t d = 0; d < size_.dim; ++d) store(to[i * ld_ + d], factor * from[i * size_.padded_dim + d]);
    }
  }

  void add_query_block(const QueryHead<T>& head, int64_t block) {
    const C scale = C(1) / std::sqrt(static_cast<C>(size_.dim));
    pack_rows(size_, head.q, ld_, block, scale, queries_);
    pack_rows(size_, head.dout, ld_out_, block, C(1), dout_);
    const int64_t padded = size_.padded_dim, first = block * kBlock;
    for (int64_t other = 0; other < size_.visible_blocks(block); ++other) {
      const int64_t rows_at = other * size_.row_block_size(), columns_at = other * size_.column_block_size();
      small_gemm<C>(kBlock, kBlock, size_.dim, {queries_, padded, 1}, keys_t_ + columns_at, kBlock, probabilities_,
                    kBlock, false);
      small_gemm<C>(kBlock, kBlock, size_.dim, {dout_, padded, 1}, values_t_ + columns_at, kBlock, dscores_, kBlock,
                    false);
      score_gradient(size_.rows(block), size_.rows(other), size_.is_diagonal(block, other), head.logsumexp + first,
                     head.delta + first);
      // dV += P^T dO, dK += dS^T Q (Q carries the scale), dQ += dS K (scaled on the way out).
      small_gemm<C>(kBlock, padded, kBlock, {probabilities_, 1, kBlock}, dout_, padded, dvalues_ + rows_at, padded,
                    true);
      small_gemm<C>(kBlock, padded, kBlock, {dscores_, 1, kBlock}, queries_, padded, dkeys_ + rows_at, padded, true);
      small_gemm<C>(kBlock, padded, kBlock, {dscores_, kBlock, 1}, keys_ + rows_at, padded, dqueries_, padded,
                    other > 0);
    }
    store_rows(dqueries_, size_.rows(block), scale, head.dq + first * ld_);
  }

  // Scores become probabilities P = exp(S - logsumexp), dP becomes dS = P (dP - delta); what is masked becomes 0.
  void score_gradient(int64_t rows, int64_t keys, bool diagonal, const C* logsumexp, const C* delta) {
    for (int64_t i = 0; i < kBlock; ++i) {
      C *p = probabilities_ + i * kBlock, *ds = dscores_ + i * kBlock;
      const int64_t visible = i >= rows ? 0 : (diagonal ? i + 1 : keys);
      const C total = i < rows ? logsumexp[i] : C(0), shift = i < rows ? delta[i] : C(0);
#pragma omp simd
      for (int64_t j = 0; j < visible; ++j) {
        p[j] = vexp(p[j] - total);
        ds[j] = p[j] * (ds[j] - shift);
      }
      std::fill(p + visible, p + kBlock, C(0));
      std::fill(ds + visible, ds + kBlock, C(0));
    }
  }

  const HeadExtents<C>& size_;
  int64_t ld_, ld_out_;
  Pieces<C> pieces_;
  C *keys_, *keys_t_, *values_t_, *dkeys_, *dvalues_, *queries_, *dqueries_, *dout_, *probabilities_, *dscores_;
};

template <typename T>
void backward(const ops::AttentionBackward& call) {
  using C = Wide<T>;
  const Attention& op = call.options;
  const std::vector<int64_t> tokens = tokens_of_samples(op, call.lengths);
  const int64_t group = op.heads / op.kv_heads, ld_out = op.heads * op.head_dim;
  const T *queries = call.q.as<T>(), *keys = call.k.as<T>(), *values = call.v.as<T>();
  const T *gradient = call.dout.as<T>(), *output = call.out.as<T>();
  T *dqueries = call.dq.as<T>(), *dkeys = call.dk.as<T>(), *dvalues = call.dv.as<T>();
  const C* statistics = call.logsumexp.as<C>();
  C* deltas = call.scratch.as<C>();
  parallel_for(op.batch * op.kv_heads, [&](int64_t task) {
    const int64_t batch = task / op.kv_heads, kv_head = task % op.kv_heads, first = batch * op.context;
    const int64_t kv_at = first * op.ld + kv_head * op.head_dim;
    const HeadExtents<C> size(op, tokens[static_cast<size_t>(batch)]);
    KvHead<T> work(op, size);
    work.load(keys + kv_at, values + kv_at);
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      const int64_t q_at = first * op.ld + head * op.head_dim, out_at = first * ld_out + head * op.head_dim;
      const int64_t row_at = (batch * op.heads + head) * op.context;
      work.add_head(
          {queries + q_at, gradient + out_at, output + out_at, dqueries + q_at, statistics + row_at, deltas + row_at});
      clear_rows(dqueries + q_at, op.ld, op.head_dim, size.tokens, op.context);
    }
    work.write_gradients(dkeys + kv_at, dvalues + kv_at);
    clear_rows(dkeys + kv_at, op.ld, op.head_dim, size.tokens, op.context);
    clear_rows(dvalues + kv_at, op.ld, op.head_dim, size.tokens, op.context);
  });
}

}  // namespace

template <>
void compute(const ops::AttentionBackward& op, Device&) {
  with_scalar(op.q.dtype, [&]<typename T>() { backward<T>(op); });
}

}  // namespace nexus::cpu
