// Our own attention, backward: probabilities are recomputed from the saved logsumexp (Dao et al. 2022, algorithm
// 4), by two kernels in which every result has one owner. So there are no atomic adds, sums have a fixed order, and the
// price is that scores are computed twice.
//
// With P = exp(S - logsumexp), dP = dO V^T, delta = rowsum(dO O) and dS = P (dP - delta):
//   dV = P^T dO, dK = dS^T Q scale   a block per tile of keys, over its kv head's query heads, queries that see it
//   dQ = dS K scale                  a block per tile of queries, over the keys that it sees
#include "cuda/attention_tiles.cuh"
#include "cuda/device.h"

namespace nexus::cuda {

namespace {

using namespace attention;

template <typename T>
struct Backward {
  const T *q, *k, *v, *out, *dout;
  const float* logsumexp;
  float* delta;
  T *dq, *dk, *dv;
  int64_t ld;
  Samples samples;
  int heads, kv_heads, group, head_dim;  // group: query heads of a kv head
  int pairs, tiles;                      // of this launch: (batch, owning head) pairs, tiles of own rows
  float scale;
  bool vectors;

  __device__ int64_t out_pitch() const { return int64_t{heads} * head_dim; }
};

// 64 own and 64 other rows for heads of 64 (88 KiB of shared memory), smaller tiles for wider heads (111, 138 KiB).
template <int width>
using BackwardShape = TileShape<256, (width <= 128 ? 4 : 2), (width <= 64 ? 4 : 2), width>;

// Blocks of a multiprocessor: what 228 KiB of shared memory admit.
template <typename Shape>
constexpr int kBackwardBlocks = Shape::kWidth <= 128 ? 2 : 1;

// Two tiles of own rows, two of other rows, weights, and two statistics per other row.
template <typename Shape>
constexpr int kBackwardBytes = static_cast<int>(sizeof(float)) * (2 * Shape::kOwnFloats + 2 * Shape::kOtherFloats +
                                                                  Shape::kWeightFloats + 2 * Shape::kOther);

constexpr int kDeltaThreads = 256;

// delta = rowsum(dout * out), a half warp per row (batch, token, head).
template <typename T>
__global__ void __launch_bounds__(kDeltaThreads) delta_kernel(const Backward<T> args) {
  const int64_t row = int64_t{blockIdx.x} * (kDeltaThreads / kLanes) + group_of_thread();
  const bool exists = row < int64_t{args.pairs} * args.samples.context;
  float sum = 0;
  if (exists) {
    const T *dout = args.dout + row * args.head_dim, *out = args.out + row * args.head_dim;
    for (int d = lane_of_row(); d < args.head_dim; d += kLanes) sum = fmaf(to_float(dout[d]), to_float(out[d]), sum);
  }
  sum = sum_of_row(sum);
  const int context = args.samples.context;
  const int64_t token = row / args.heads, batch = token / context;
  const int64_t at = (batch * args.heads + row % args.heads) * context + token % context;
  if (exists && lane_of_row() == 0) args.delta[at] = sum;
}

// Probability and score gradient of one pair of a query and a key.
struct Gradient {
  float probability, dscore;
};
__device__ inline Gradient gradient_of(float score, float dprobability, float logsumexp, float delta, float scale,
                                       bool visible) {
  const float probability = visible ? exp2f(fmaf(score, scale, -logsumexp) * kLog2E) : 0.0f;
  return {probability, probability * (dprobability - delta)};
}

// scores become P^T and dprobabilities become dS^T: own rows are keys, columns are queries. Of keys that do not exist
// the caller takes no result.
template <typename Shape, bool kCausal>
__device__ inline void gradients_of_keys(int first_key, int first_query, int query_rows, float scale,
                                         const float* statistics, Scores<Shape>& scores,
                                         Scores<Shape>& dprobabilities) {
  const int first_visible = first_key - first_query + group_of_thread();
#pragma unroll
  for (int j = 0; j < Shape::kColumnsEach; ++j) {
    const int query = lane_of_row() + j * kLanes;
    const float logsumexp = statistics[query], delta = statistics[Shape::kOther + query];
#pragma unroll
    for (int i = 0; i < Shape::kRowsEach; ++i) {
      const bool visible = query < query_rows && (!kCausal || query >= first_visible + i * Shape::kGroups);
      const Gradient gradient = gradient_of(scores[i][j], dprobabilities[i][j], logsumexp, delta, scale, visible);
      scores[i][j] = gradient.probability;
      dprobabilities[i][j] = gradient.dscore;
    }
  }
}

// Zeros for the rows of tokens that do not exist.
template <typename Shape>
__device__ inline void clear_row(float (&sums)[Shape::kColumns]) {
#pragma unroll
  for (int c = 0; c < Shape::kColumns; ++c) sums[c] = 0;
}

template <typename T, typename Shape, bool kCausal>
__global__ void __launch_bounds__(Shape::kThreads, kBackwardBlocks<Shape>) dkdv_kernel(const Backward<T> args) {
  extern __shared__ float4 shared_memory[];
  float* keys = reinterpret_cast<float*>(shared_memory);
  float* values = keys + Shape::kOwnFloats;
  float* queries = values + Shape::kOwnFloats;
  float* douts = queries + Shape::kOtherFloats;
  float* weights = douts + Shape::kOtherFloats;
  float* statistics = weights + Shape::kWeightFloats;  // logsumexp and delta of the queries

  // The first keys are seen by most queries: their blocks come first.
  const int tile = static_cast<int>(blockIdx.x) / args.pairs, pair = static_cast<int>(blockIdx.x) % args.pairs;
  const int batch = pair / args.kv_heads, kv_head = pair % args.kv_heads, first_key = tile * Shape::kOwn;
  const int context = args.samples.context, tokens = kCausal ? context : args.samples.tokens(batch);
  const int64_t first_token = int64_t{batch} * context;
  const int64_t kv_at = (first_token + first_key) * args.ld + kv_head * args.head_dim;
  const int rows = min(Shape::kOwn, context - first_key);
  const int key_rows = kCausal ? rows : rows_of_tile<Shape::kOwn>(first_key, tokens);
  load_tile<Shape, Shape::kOwn>(args.k + kv_at, args.ld, key_rows, args.head_dim, args.vectors, keys);
  load_tile<Shape, Shape::kOwn>(args.v + kv_at, args.ld, key_rows, args.head_dim, args.vectors, values);

  Sums<Shape> dk, dv;
  clear<Shape>(dk);
  clear<Shape>(dv);
  for (int head = kv_head * args.group; head < (kv_head + 1) * args.group; ++head) {
    const int last_query = kCausal || key_rows > 0 ? tokens : 0;
    for (int first_query = kCausal ? first_key / Shape::kOther * Shape::kOther : 0; first_query < last_query;
         first_query += Shape::kOther) {
      const int query_rows = min(Shape::kOther, tokens - first_query);
      const int64_t token = first_token + first_query;
      __syncthreads();  // the former tile has been read
      load_tile<Shape, Shape::kOther>(args.q + token * args.ld + head * args.head_dim, args.ld, query_rows,
                                      args.head_dim, args.vectors, queries);
      load_tile<Shape, Shape::kOther>(args.dout + token * args.out_pitch() + head * args.head_dim, args.out_pitch(),
                                      query_rows, args.head_dim, args.vectors, douts);
      const int64_t statistics_at = first_token * args.heads + int64_t{head} * context + first_query;
      for (int i = static_cast<int>(threadIdx.x); i < Shape::kOther; i += Shape::kThreads) {
        statistics[i] = i < query_rows ? args.logsumexp[statistics_at + i] : 0.0f;
        statistics[Shape::kOther + i] = i < query_rows ? args.delta[statistics_at + i] : 0.0f;
      }
      __syncthreads();
      Scores<Shape> scores, dprobabilities;
      dot_rows<Shape>(keys, queries, scores);
      dot_rows<Shape>(values, douts, dprobabilities);
      gradients_of_keys<Shape, kCausal>(first_key, first_query, query_rows, args.scale, statistics, scores,
                                        dprobabilities);
      write_weights<Shape>(scores, weights);
      __syncwarp();
      accumulate<Shape>(weights, douts, dv);
      __syncwarp();
      write_weights<Shape>(dprobabilities, weights);
      __syncwarp();
      accumulate<Shape>(weights, queries, dk);
    }
  }
#pragma unroll
  for (int i = 0; i < Shape::kRowsEach; ++i) {
    const int row = group_of_thread() + i * Shape::kGroups;
    if (row >= rows) continue;
    if (!kCausal && row >= key_rows) {
      clear_row<Shape>(dk[i]);
      clear_row<Shape>(dv[i]);
    }
    store_row<Shape>(dk[i], args.scale, args.head_dim, args.vectors, args.dk + kv_at + row * args.ld);
    store_row<Shape>(dv[i], 1.0f, args.head_dim, args.vectors, args.dv + kv_at + row * args.ld);
  }
}

// scores become dS: own rows are queries, columns are keys.
template <typename Shape, bool kCausal>
__device__ inline void gradients_of_queries(int first_query, int first_key, int key_rows, float scale,
                                            const float (&logsumexp)[Shape::kRowsEach],
                                            const float (&delta)[Shape::kRowsEach], const Scores<Shape>& dprobabilities,
                                            Scores<Shape>& scores) {
  const int visible = (kCausal ? first_query - first_key + group_of_thread() : key_rows - 1) - lane_of_row();
  constexpr int kStep = kCausal ? Shape::kGroups : 0;
#pragma unroll
  for (int i = 0; i < Shape::kRowsEach; ++i) {
#pragma unroll
    for (int j = 0; j < Shape::kColumnsEach; ++j)
      scores[i][j] = gradient_of(scores[i][j], dprobabilities[i][j], logsumexp[i], delta[i], scale,
                                 j * kLanes <= visible + i * kStep)
                         .dscore;
  }
}

template <typename T, typename Shape, bool kCausal>
__global__ void __launch_bounds__(Shape::kThreads, kBackwardBlocks<Shape>) dq_kernel(const Backward<T> args) {
  extern __shared__ float4 shared_memory[];
  float* queries = reinterpret_cast<float*>(shared_memory);
  float* douts = queries + Shape::kOwnFloats;
  float* keys = douts + Shape::kOwnFloats;
  float* values = keys + Shape::kOtherFloats;
  float* weights = values + Shape::kOtherFloats;

  // The last queries see most keys: their blocks come first.
  const int tile = args.tiles - 1 - static_cast<int>(blockIdx.x) / args.pairs;
  const int pair = static_cast<int>(blockIdx.x) % args.pairs, batch = pair / args.heads, head = pair % args.heads;
  const int context = args.samples.context, tokens = kCausal ? context : args.samples.tokens(batch);
  const int first_query = tile * Shape::kOwn, rows = min(Shape::kOwn, context - first_query);
  const int query_rows = kCausal ? rows : rows_of_tile<Shape::kOwn>(first_query, tokens);
  const int64_t first_token = int64_t{batch} * context, token = first_token + first_query;
  const int64_t q_at = token * args.ld + head * args.head_dim;
  const int64_t kv_at = first_token * args.ld + head / args.group * args.head_dim;
  load_tile<Shape, Shape::kOwn>(args.q + q_at, args.ld, query_rows, args.head_dim, args.vectors, queries);
  load_tile<Shape, Shape::kOwn>(args.dout + token * args.out_pitch() + head * args.head_dim, args.out_pitch(),
                                query_rows, args.head_dim, args.vectors, douts);

  float logsumexp[Shape::kRowsEach], delta[Shape::kRowsEach];
#pragma unroll
  for (int i = 0; i < Shape::kRowsEach; ++i) {
    const int row = group_of_thread() + i * Shape::kGroups;
    const int64_t at = int64_t{pair} * context + first_query + row;
    logsumexp[i] = row < query_rows ? args.logsumexp[at] : 0.0f;
    delta[i] = row < query_rows ? args.delta[at] : 0.0f;
  }
  Sums<Shape> dq;
  clear<Shape>(dq);
  const int last_key = kCausal ? first_query + query_rows : query_rows > 0 ? tokens : 0;
  for (int first_key = 0; first_key < last_key; first_key += Shape::kOther) {
    const int key_rows = min(Shape::kOther, tokens - first_key);
    const int64_t at = kv_at + first_key * args.ld;
    __syncthreads();  // the former tile has been read
    load_tile<Shape, Shape::kOther>(args.k + at, args.ld, key_rows, args.head_dim, args.vectors, keys);
    load_tile<Shape, Shape::kOther>(args.v + at, args.ld, key_rows, args.head_dim, args.vectors, values);
    __syncthreads();
    Scores<Shape> scores, dprobabilities;
    dot_rows<Shape>(queries, keys, scores);
    dot_rows<Shape>(douts, values, dprobabilities);
    gradients_of_queries<Shape, kCausal>(first_query, first_key, key_rows, args.scale, logsumexp, delta, dprobabilities,
                                         scores);
    __syncwarp();  // the former weights have been read
    write_weights<Shape>(scores, weights);
    __syncwarp();
    accumulate<Shape>(weights, keys, dq);
  }
#pragma unroll
  for (int i = 0; i < Shape::kRowsEach; ++i) {
    const int row = group_of_thread() + i * Shape::kGroups;
    if (row >= rows) continue;
    if (!kCausal && row >= query_rows) clear_row<Shape>(dq[i]);
    store_row<Shape>(dq[i], args.scale, args.head_dim, args.vectors, args.dq + q_at + row * args.ld);
  }
}

template <typename T, int width, bool kCausal>
void launch_backward(const Attention& op, Backward<T> args, Queue& queue) {
  using Shape = BackwardShape<width>;
  args.tiles = tiles_of(op, Shape::kOwn);
  args.pairs = static_cast<int>(op.batch * op.heads);
  constexpr int kRowsPerBlock = kDeltaThreads / kLanes;
  const int64_t rows = op.batch * op.context * op.heads;
  launch<delta_kernel<T>>((rows + kRowsPerBlock - 1) / kRowsPerBlock, kDeltaThreads, args, queue);
  launch<dq_kernel<T, Shape, kCausal>, kBackwardBytes<Shape>>(int64_t{args.pairs} * args.tiles, Shape::kThreads, args,
                                                              queue);
  args.pairs = static_cast<int>(op.batch * op.kv_heads);
  launch<dkdv_kernel<T, Shape, kCausal>, kBackwardBytes<Shape>>(int64_t{args.pairs} * args.tiles, Shape::kThreads, args,
                                                                queue);
}

}  // namespace

void own_attention(const ops::AttentionBackward& call, Queue& queue) {
  const auto& [op, dout, q, k, v, out, logsumexp, scratch, dq, dk, dv, lengths] = call;
  dispatch(q.dtype, op, [&]<typename T, int width, bool kCausal>() {
    launch_backward<T, width, kCausal>(op,
                                       {.q = static_cast<const T*>(q.data),
                                        .k = static_cast<const T*>(k.data),
                                        .v = static_cast<const T*>(v.data),
                                        .out = static_cast<const T*>(out.data),
                                        .dout = static_cast<const T*>(dout.data),
                                        .logsumexp = logsumexp.as<float>(),
                                        .delta = scratch.as<float>(),
                                        .dq = static_cast<T*>(dq.data),
                                        .dk = static_cast<T*>(dk.data),
                                        .dv = static_cast<T*>(dv.data),
                                        .ld = op.ld,
                                        .samples = samples_of(op, lengths),
                                        .heads = static_cast<int>(op.heads),
                                        .kv_heads = static_cast<int>(op.kv_heads),
                                        .group = static_cast<int>(op.heads / op.kv_heads),
                                        .head_dim = static_cast<int>(op.head_dim),
                                        .pairs = 0,
                                        .tiles = 0,
                                        .scale = 1.0f / std::sqrt(static_cast<float>(op.head_dim)),
                                        .vectors = rows_aligned<T>(op, {&dout, &q, &k, &v, &dq, &dk, &dv})},
                                       queue);
  });
}

}  // namespace nexus::cuda
