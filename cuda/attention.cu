// Our own attention, forward: an online softmax over tiles of keys (Dao et al. 2022, FlashAttention), in f32
// arithmetic on the ordinary cores. Every shape works; cuDNN is faster where it can be used (cuda/cudnn_attention.h).
//
// A block has the queries of one tile of one head. Rows that are short of 16-byte alignment are read element by
// element.
#include "cuda/attention_softmax.cuh"
#include "cuda/device.h"

namespace nexus::cuda {

namespace {

using namespace attention;

template <typename T>
struct Forward {
  const T *q, *k, *v;
  T* out;
  float* logsumexp;
  int64_t ld;
  Samples samples;
  int heads, group, head_dim;  // group: query heads of a kv head
  int pairs, tiles;            // (batch, head) pairs; tiles of queries
  float scale;
  bool vectors;
};

// 64 queries (32 of very wide heads), 64 keys: 53 KiB of shared memory for heads of 64.
template <int width>
using ForwardShape = TileShape<128, (width <= 128 ? 8 : 4), 4, width>;

template <typename Shape>
constexpr int kForwardBytes = static_cast<int>(sizeof(float)) *
                              (Shape::kOwnFloats + Shape::kOtherFloats + Shape::kWeightFloats);

// Blocks of a multiprocessor: what shared memory admits, 228 KiB on Hopper.
template <typename Shape>
constexpr int kForwardBlocks = Shape::kWidth <= 64 ? 4 : 2;

// The keys of a tile and then its values share one piece of memory, which lets one more block onto a multiprocessor.
template <typename T, typename Shape, bool kCausal>
__global__ void __launch_bounds__(Shape::kThreads, kForwardBlocks<Shape>) forward_kernel(const Forward<T> args) {
  extern __shared__ float4 shared_memory[];
  float* queries = reinterpret_cast<float*>(shared_memory);
  float* other = queries + Shape::kOwnFloats;
  float* weights = other + Shape::kOtherFloats;

  // The last queries see most keys: their blocks come first.
  const int tile = args.tiles - 1 - static_cast<int>(blockIdx.x) / args.pairs;
  const int pair = static_cast<int>(blockIdx.x) % args.pairs, batch = pair / args.heads, head = pair % args.heads;
  const int context = args.samples.context, tokens = kCausal ? context : args.samples.tokens(batch);
  const int first_query = tile * Shape::kOwn, rows = min(Shape::kOwn, context - first_query);
  const int query_rows = kCausal ? rows : rows_of_tile<Shape::kOwn>(first_query, tokens);
  const int64_t first_token = int64_t{batch} * context, token = first_token + first_query;
  const int64_t kv_at = first_token * args.ld + head / args.group * args.head_dim;
  load_tile<Shape, Shape::kOwn>(args.q + token * args.ld + head * args.head_dim, args.ld, query_rows, args.head_dim,
                                args.vectors, queries);

  Softmax<Shape> state;
  Sums<Shape> sums;
  clear<Shape>(sums);
  clear<Shape>(state);
  const int last_key = kCausal ? first_query + query_rows : query_rows > 0 ? tokens : 0;
  for (int first_key = 0; first_key < last_key; first_key += Shape::kOther) {
    const int key_rows = min(Shape::kOther, tokens - first_key);
    const int64_t at = kv_at + first_key * args.ld;
    __syncthreads();  // the former values and weights have been read
    load_tile<Shape, Shape::kOther>(args.k + at, args.ld, key_rows, args.head_dim, args.vectors, other);
    __syncthreads();
    Scores<Shape> scores;
    dot_rows<Shape>(queries, other, scores);
    __syncthreads();  // the keys have been read
    load_tile<Shape, Shape::kOther>(args.v + at, args.ld, key_rows, args.head_dim, args.vectors, other);
    softmax_step<Shape, kCausal>(first_query, first_key, key_rows, args.scale * kLog2E, state, scores, sums);
    write_weights<Shape>(scores, weights);
    __syncthreads();
    accumulate<Shape>(weights, other, sums);
  }

#pragma unroll
  for (int i = 0; i < Shape::kRowsEach; ++i) state.total[i] = sum_of_row(state.total[i]);
#pragma unroll
  for (int i = 0; i < Shape::kRowsEach; ++i) {
    const int row = group_of_thread() + i * Shape::kGroups;
    if (row >= rows) continue;
    const bool exists = kCausal || row < query_rows;
    store_row<Shape>(sums[i], exists ? 1.0f / state.total[i] : 0.0f, args.head_dim, args.vectors,
                     args.out + ((token + row) * args.heads + head) * args.head_dim);
    if (lane_of_row() == 0)
      args.logsumexp[int64_t{pair} * context + first_query + row] =
          exists ? state.highest[i] * args.scale + logf(state.total[i]) : 0.0f;
  }
}

}  // namespace

void own_attention(const ops::AttentionForward& call, Queue& queue) {
  const auto& [op, q, k, v, out, logsumexp, lengths] = call;
  dispatch(q.dtype, op, [&]<typename T, int width, bool kCausal>() {
    using Shape = ForwardShape<width>;
    const Forward<T> args{.q = static_cast<const T*>(q.data),
                          .k = static_cast<const T*>(k.data),
                          .v = static_cast<const T*>(v.data),
                          .out = static_cast<T*>(out.data),
                          .logsumexp = logsumexp.as<float>(),
                          .ld = op.ld,
                          .samples = samples_of(op, lengths),
                          .heads = static_cast<int>(op.heads),
                          .group = static_cast<int>(op.heads / op.kv_heads),
                          .head_dim = static_cast<int>(op.head_dim),
                          .pairs = static_cast<int>(op.batch * op.heads),
                          .tiles = tiles_of(op, Shape::kOwn),
                          .scale = 1.0f / std::sqrt(static_cast<float>(op.head_dim)),
                          .vectors = rows_aligned<T>(op, {&q, &k, &v, &out})};
    launch<forward_kernel<T, Shape, kCausal>, kForwardBytes<Shape>>(int64_t{args.pairs} * args.tiles, Shape::kThreads,
                                                                    args, queue);
  });
}

}  // namespace nexus::cuda
