// Blocked attention: memory is a block of scores per thread, never context x context.
#include "backend/cpu/attention_softmax.h"
#include "backend/cpu/device.h"

namespace nexus::cpu {

namespace {

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
      for (int64_t block = 0; block < size.blocks; ++block) {
        const int64_t begin = block * kAttentionBlock;
        work.run(queries + (first + begin) * op.ld + head * op.head_dim, op.ld, size.rows(block),
                 size.causal ? begin + 1 : size.tokens, packed_keys, packed_values, head_output + begin * ld_out,
                 ld_out, head_statistics + begin);
      }
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
