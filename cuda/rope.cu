#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "cuda/device.h"
#include "cuda/pack16.cuh"
#include "cuda/split_index.cuh"

namespace nexus::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kBlockTokens = 16;               // of one block, if their table fits
constexpr int64_t kTableBytes = int64_t{1} << 14;  // wished for at most: several blocks share a multiprocessor
constexpr int64_t kMaxTableBytes = 3 * kTableBytes;

struct Rotation {
  int64_t tokens, context, ld;
  const int32_t* positions;  // null: token % context
  int block_tokens, heads, head_dim, half;
  double log2_step;  // frequency i is 2^(i log2_step)
  float sign;        // -1 rotates back
};

// cos and sin of the block's tokens, [tokens][half] each. The angle is taken in turns and in f64, so that what the f32
// functions see is below half a turn at any position: the error of the table is 2e-7.
__device__ void fill_table(const Rotation& op, int64_t first_token, int tokens, float* cosine, float* sine) {
  const int64_t first_position = first_token % op.context;
  for (int at = threadIdx.x; at < tokens * op.half; at += kThreads) {
    const auto token = static_cast<uint32_t>(at / op.half);
    const int64_t position = op.positions != nullptr
                                 ? op.positions[first_token + token]
                                 : split_index<kBlockTokens>(first_position, token, op.context).remainder;
    const double frequency = exp2(static_cast<double>(at % op.half) * op.log2_step);
    const double turns = static_cast<double>(position) * frequency * (0.5 * std::numbers::inv_pi);
    float s, c;
    sincospif(2.0f * static_cast<float>(turns - rint(turns)), &s, &c);
    cosine[at] = c;
    sine[at] = op.sign * s;
  }
}

// One element of a pair at a time, or one pack.
template <typename T, bool kPacks>
struct Piece {
  static constexpr int kSize = 1;
  __device__ static void load(const T* from, float (&x)[1]) { x[0] = to_float(*from); }
  __device__ static void store(T* to, const float (&x)[1]) { cuda::store(*to, x[0]); }
};
template <typename T>
struct Piece<T, true> {
  static constexpr int kSize = kPackSize<T>;
  __device__ static void load(const T* from, float (&x)[kSize]) { unpack(*reinterpret_cast<const uint4*>(from), x); }
  __device__ static void store(T* to, const float (&x)[kSize]) { *reinterpret_cast<uint4*>(to) = pack_of(x); }
};

template <int kSize>
__device__ void load_table(const float* from, float (&x)[kSize]) {
  if constexpr (kSize % 4 == 0) {
#pragma unroll
    for (int i = 0; i < kSize; i += 4) {
      const float4 four = *reinterpret_cast<const float4*>(from + i);
      x[i] = four.x, x[i + 1] = four.y, x[i + 2] = four.z, x[i + 3] = four.w;
    }
  } else {
    x[0] = from[0];
  }
}

// A block makes the table of a few tokens and turns all their heads by it.
template <typename T, bool kPacks>
__global__ void __launch_bounds__(kThreads) rotate(Rotation op, T* x) {
  using Part = Piece<T, kPacks>;
  constexpr int kSize = Part::kSize;
  extern __shared__ float4 table[];
  float* cosine = reinterpret_cast<float*>(table);
  float* sine = cosine + op.block_tokens * op.half;
  const int64_t first_token = int64_t{blockIdx.x} * op.block_tokens;
  const int tokens = static_cast<int>(min(int64_t{op.block_tokens}, op.tokens - first_token));
  fill_table(op, first_token, tokens, cosine, sine);
  __syncthreads();
  const int pieces = op.half / kSize, of_token = op.heads * pieces;
  for (int i = threadIdx.x; i < tokens * of_token; i += kThreads) {
    const int token = i / of_token, head = i % of_token / pieces, at = i % pieces * kSize;
    T* low = x + (first_token + token) * op.ld + int64_t{head} * op.head_dim + at;
    float a[kSize], b[kSize], c[kSize], s[kSize];
    Part::load(low, a);
    Part::load(low + op.half, b);
    load_table(cosine + token * op.half + at, c);
    load_table(sine + token * op.half + at, s);
#pragma unroll
    for (int j = 0; j < kSize; ++j) {
      const float first = a[j];
      a[j] = first * c[j] - b[j] * s[j];
      b[j] = b[j] * c[j] + first * s[j];
    }
    Part::store(low, a);
    Part::store(low + op.half, b);
  }
}

template <typename T>
void launch_rotate(const Rotation& op, T* x, Queue& queue) {
  const auto blocks = static_cast<unsigned>((op.tokens + op.block_tokens - 1) / op.block_tokens);
  const auto table_bytes = static_cast<size_t>(2 * op.block_tokens * op.half) * sizeof(float);
  const bool packs = in_packs<T>(x, op.ld) && op.head_dim % kPackSize<T> == 0 && op.half % kPackSize<T> == 0;
  const auto kernel = packs ? rotate<T, true> : rotate<T, false>;
  kernel<<<blocks, kThreads, table_bytes, queue.stream()>>>(op, x);
  NX_CUDA(cudaGetLastError());
}

}  // namespace

template <>
void compute(const ops::Rotate& op, Device& device) {
  const Rope& rope = op.options;
  const int64_t half = rope.rotary_dim / 2, row_bytes = 2 * half * static_cast<int64_t>(sizeof(float));
  if (half == 0 || op.x.shape[0] == 0) return;
  NX_CHECK(row_bytes <= kMaxTableBytes && rope.ld <= std::numeric_limits<int>::max() / kBlockTokens,
           "{} of {} elements of {} heads rotate", rope.rotary_dim, rope.head_dim, rope.heads);
  const int64_t block_tokens = std::clamp<int64_t>(kTableBytes / row_bytes, 1, kBlockTokens);
  const Rotation rotation = {
      op.x.shape[0],
      rope.context,
      rope.ld,
      op.positions.defined() ? op.positions.as<int32_t>() : nullptr,
      static_cast<int>(block_tokens),
      static_cast<int>(rope.heads),
      static_cast<int>(rope.head_dim),
      static_cast<int>(half),
      -std::log2(static_cast<double>(static_cast<float>(rope.theta))) / static_cast<double>(half),
      op.inverse ? -1.0f : 1.0f};
  with_element(op.x.dtype, [&]<typename T>() { launch_rotate(rotation, static_cast<T*>(op.x.data), device.queue); });
}

}  // namespace nexus::cuda
