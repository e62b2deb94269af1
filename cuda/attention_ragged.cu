// Attention of runs of queries to keys that lie anywhere: the online softmax of cuda/attention.cu over tiles of keys
// that are gathered by their list.
//
// A block has some queries of one run and one head. It is for evaluation and generation, where attention is a few
// percent of the work: runs are short, and so are lists of keys.
#include "cuda/attention_softmax.cuh"
#include "cuda/device.h"

namespace nexus::cuda {

namespace {

using namespace attention;

template <typename T>
struct Ragged {
  const T *q, *k, *v;
  T* out;
  const int32_t *runs, *keys;
  int64_t q_ld, kv_ld;
  int heads, group, head_dim;  // group: query heads of a kv head
  int pairs;                   // (run, head)
  float scale;
  bool vectors;
};

// 32 queries (16 of very wide heads), or 8 where runs are as short as those of generation; 64 keys.
template <int width, bool kShort>
using RaggedShape = TileShape<128,
                              (kShort         ? 1
                               : width <= 128 ? 4
                                              : 2),
                              4, width>;

template <typename Shape>
constexpr int kRaggedBytes = static_cast<int>(sizeof(float)) *
                             (Shape::kOwnFloats + Shape::kOtherFloats + Shape::kWeightFloats);

template <typename T, typename Shape>
__global__ void __launch_bounds__(Shape::kThreads) ragged_kernel(const Ragged<T> args) {
  extern __shared__ float4 shared_memory[];
  float* queries = reinterpret_cast<float*>(shared_memory);
  float* other = queries + Shape::kOwnFloats;
  float* weights = other + Shape::kOtherFloats;

  const int tile = static_cast<int>(blockIdx.x) / args.pairs, pair = static_cast<int>(blockIdx.x) % args.pairs;
  const int head = pair % args.heads, kv_at = head / args.group * args.head_dim;
  const int32_t* run = args.runs + int64_t{pair / args.heads} * 4;
  const int queries_of_run = run[1], keys_of_run = run[3];
  const int first_query = tile * Shape::kOwn, rows = min(Shape::kOwn, queries_of_run - first_query);
  if (rows <= 0) return;
  const int64_t row = int64_t{run[0]} + first_query;
  const int32_t* keys = args.keys + run[2];
  load_tile<Shape, Shape::kOwn>(args.q + row * args.q_ld + head * args.head_dim, args.q_ld, rows, args.head_dim,
                                args.vectors, queries);

  Softmax<Shape> state;
  Sums<Shape> sums;
  clear<Shape>(sums);
  clear<Shape>(state);
  // The first query's own place in the list; it sees the keys up to it.
  const int place = keys_of_run - queries_of_run + first_query, last_key = place + rows;
  for (int first_key = 0; first_key < last_key; first_key += Shape::kOther) {
    const int key_rows = min(Shape::kOther, last_key - first_key);
    const auto row_of = [&](const T* x) { return [=](int i) { return x + keys[first_key + i] * args.kv_ld + kv_at; }; };
    __syncthreads();  // the former values and weights have been read
    load_rows<Shape, Shape::kOther, T>(row_of(args.k), key_rows, args.head_dim, args.vectors, other);
    __syncthreads();
    Scores<Shape> scores;
    dot_rows<Shape>(queries, other, scores);
    __syncthreads();  // the keys have been read
    load_rows<Shape, Shape::kOther, T>(row_of(args.v), key_rows, args.head_dim, args.vectors, other);
    softmax_step<Shape, true>(place, first_key, key_rows, args.scale * kLog2E, state, scores, sums);
    write_weights<Shape>(scores, weights);
    __syncthreads();
    accumulate<Shape>(weights, other, sums);
  }

#pragma unroll
  for (int i = 0; i < Shape::kRowsEach; ++i) {
    const float total = sum_of_row(state.total[i]);
    const int at = group_of_thread() + i * Shape::kGroups;
    if (at < rows)
      store_row<Shape>(sums[i], 1.0f / total, args.head_dim, args.vectors,
                       args.out + ((row + at) * args.heads + head) * args.head_dim);
  }
}

template <typename T>
bool in_vectors(const RaggedAttention& op, const ops::RaggedAttentionForward& call) {
  return op.head_dim % kPackSize<T> == 0 && in_packs<T>(call.q.data, op.q_ld) && in_packs<T>(call.k.data, op.kv_ld) &&
         in_packs<T>(call.v.data, op.kv_ld) && in_packs<T>(call.out.data, op.head_dim);
}

}  // namespace

template <>
void compute(const ops::RaggedAttentionForward& call, Device& device) {
  const auto& [op, q, k, v, runs, keys, out] = call;
  const int64_t run_count = runs.shape[0];
  NX_CHECK(run_count * op.heads < (int64_t{1} << 31), "{} runs of {} heads", run_count, op.heads);
  const auto attend = [&]<typename T, int width, bool kShort>() {
    using Shape = RaggedShape<width, kShort>;
    const Ragged<T> args{.q = static_cast<const T*>(q.data),
                         .k = static_cast<const T*>(k.data),
                         .v = static_cast<const T*>(v.data),
                         .out = static_cast<T*>(out.data),
                         .runs = runs.as<int32_t>(),
                         .keys = keys.as<int32_t>(),
                         .q_ld = op.q_ld,
                         .kv_ld = op.kv_ld,
                         .heads = static_cast<int>(op.heads),
                         .group = static_cast<int>(op.heads / op.kv_heads),
                         .head_dim = static_cast<int>(op.head_dim),
                         .pairs = static_cast<int>(run_count * op.heads),
                         .scale = 1.0f / std::sqrt(static_cast<float>(op.head_dim)),
                         .vectors = in_vectors<T>(op, call)};
    const int64_t tiles = (op.longest + Shape::kOwn - 1) / Shape::kOwn;
    launch<ragged_kernel<T, Shape>, kRaggedBytes<Shape>>(run_count * op.heads * tiles, Shape::kThreads, args,
                                                         device.queue);
  };
  dispatch(q.dtype, Attention{.head_dim = op.head_dim}, [&]<typename T, int width, bool>() {
    if (op.longest <= 8)
      attend.template operator()<T, width, true>();
    else
      attend.template operator()<T, width, false>();
  });
}

}  // namespace nexus::cuda
