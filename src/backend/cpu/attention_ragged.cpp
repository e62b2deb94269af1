// Attention of runs of queries to keys that lie anywhere. One task owns a kv head of one run with all its query heads.
#include "backend/cpu/attention_softmax.h"
#include "backend/cpu/device.h"

namespace nexus::cpu {

namespace {

struct Run {
  int64_t first, queries;        // rows of q
  int64_t first_key, key_count;  // entries of the list of keys
};

std::vector<Run> runs_of(const ops::RaggedAttentionForward& op) {
  const auto* table = op.runs.as<int32_t>();
  std::vector<Run> runs;
  for (int64_t i = 0; i < op.runs.shape[0]; ++i) {
    const Run run{table[4 * i], table[4 * i + 1], table[4 * i + 2], table[4 * i + 3]};
    NX_CHECK(run.first >= 0 && run.queries > 0 && run.queries <= op.options.longest &&
                 run.first + run.queries <= op.q.shape[0] && run.first_key >= 0 && run.key_count >= run.queries &&
                 run.first_key + run.key_count <= op.keys.count(),
             "run {}: {} queries from {} of {}, {} keys from {} of {}", i, run.queries, run.first, op.q.shape[0],
             run.key_count, run.first_key, op.keys.count());
    runs.push_back(run);
  }
  const auto* keys = op.keys.as<int32_t>();
  for (int64_t i = 0; i < op.keys.count(); ++i)
    NX_CHECK(keys[i] >= 0 && keys[i] < op.k.shape[0], "key {} of {}", keys[i], op.k.shape[0]);
  return runs;
}

template <typename T>
void forward(const ops::RaggedAttentionForward& call) {
  using C = Wide<T>;
  const RaggedAttention& op = call.options;
  const std::vector<Run> runs = runs_of(call);
  const int64_t group = op.heads / op.kv_heads, ld_out = op.heads * op.head_dim;
  const T *queries = call.q.as<T>(), *keys = call.k.as<T>(), *values = call.v.as<T>();
  T* output = call.out.as<T>();
  parallel_for(std::ssize(runs) * op.kv_heads, [&](int64_t task) {
    const Run& run = runs[static_cast<size_t>(task / op.kv_heads)];
    const int64_t kv_head = task % op.kv_heads, kv_at = kv_head * op.head_dim;
    const int32_t* slots = call.keys.as<int32_t>() + run.first_key;
    const HeadExtents<C> size(op.head_dim, run.key_count, true);
    Pieces<C> pieces(size.blocks * (size.column_block_size() + size.row_block_size()) +
                     QueryBlock<T>::scratch_count(size));
    C* packed_keys = pieces.take(size.blocks * size.column_block_size());
    C* packed_values = pieces.take(size.blocks * size.row_block_size());
    for (int64_t block = 0; block < size.blocks; ++block) {
      const int32_t* first = slots + block * kAttentionBlock;
      const auto row_of = [&](const T* x) { return [=](int64_t i) { return x + first[i] * op.kv_ld + kv_at; }; };
      pack_each_column(size, size.rows(block), row_of(keys), packed_keys + block * size.column_block_size());
      pack_each_row(size, size.rows(block), row_of(values), C(1), packed_values + block * size.row_block_size());
    }
    QueryBlock<T> work(size, pieces);
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      for (int64_t begin = 0; begin < run.queries; begin += kAttentionBlock) {
        const int64_t row = run.first + begin;
        work.run(queries + row * op.q_ld + head * op.head_dim, op.q_ld, std::min(kAttentionBlock, run.queries - begin),
                 run.key_count - run.queries + begin + 1, packed_keys, packed_values,
                 output + row * ld_out + head * op.head_dim, ld_out, nullptr);
      }
    }
  });
}

}  // namespace

template <>
void compute(const ops::RaggedAttentionForward& op, Device&) {
  with_scalar(op.q.dtype, [&]<typename T>() { forward<T>(op); });
}

}  // namespace nexus::cpu
