// a = GELU(n(h)) and its backward pass, each in one pass over memory: h (and da) are read once and held in registers
// between the sum over the row and the result.
//
// A row of up to 1280 bf16 (640 f32) elements is the work of one warp, a wider one of a team of up to 8 warps that
// share a block; still wider rows are read twice. The split halves, for rows cut over ranks, are the same kernels with
// one of the two steps left out.
#include "cuda/chunk.cuh"
#include "cuda/device.h"
#include "cuda/gelu.cuh"

namespace nexus::cuda {

namespace {

constexpr int kMaxGroups = 8;
constexpr int kRowsPerBlock = 4;   // where a warp does a row
constexpr int kMaxChunks = 5;      // per thread; more would leave too few warps to hide the memory's latency
constexpr int kMaxTeam = 8;        // warps that share a row
constexpr int kLongThreads = 512;  // for a row that registers do not hold

// What a launch does of the two steps: the sum over the row, and the result that needs it.
enum class Step { kBoth, kSum, kResult };

struct Rows {
  Step step = Step::kBoth;
  GeluKind gelu = GeluKind::kErf;
  bool whole = false;  // RowPart::whole
  int width = 0;
  uint32_t count = 0, groups = 1;
  float scales[kMaxGroups] = {};  // c of every group
  float eps = 0;
};

template <typename T>
struct ForwardArgs {
  Rows rows;
  const T* h;
  T* a;
  float *sums, *row_scale;  // sums: written by kSum, read by kResult
};

template <typename T>
struct BackwardArgs {
  Rows rows;
  const T *da, *h;
  const float* row_scale;
  float* sums;
  T* dh;  // may be da
};

// The row of this thread, and its part of the row.
struct Place {
  uint32_t row;
  RowPart part;
};

template <typename T, bool kTeam>
__device__ __forceinline__ Place place_of(const Rows& rows) {
  constexpr int kSize = Chunk<T>::kSize;
  const int lane = static_cast<int>(kTeam ? threadIdx.x : threadIdx.x % kWarp);
  const int lanes = kTeam ? static_cast<int>(blockDim.x) : kWarp;
  return {kTeam ? blockIdx.x : blockIdx.x * kRowsPerBlock + threadIdx.x / kWarp,
          {lane * kSize, lanes * kSize, rows.width, rows.whole}};
}

template <bool kTeam>
__device__ __forceinline__ float row_sum(float value) {
  if constexpr (kTeam)
    return block_sum_once(value);
  else
    return warp_sum(value);
}

// The norm c that a row is scaled to.
__device__ __forceinline__ float target_of(const Rows& rows, uint32_t row) {
  return rows.scales[rows.groups == 1 ? 0 : row % rows.groups];
}

// s of a row with that sum of squares.
__device__ __forceinline__ float scale_of(float squares, float c, float eps) {
  const float length = sqrtf(squares) + eps;
  return length == 0.0f ? 0.0f : c / length;
}

// The factor of h in dh = s du - pull h: s^2 (r / c^2) (1 + eps / ||h||) = s r / (c ||h||), as ||h|| + eps = c / s. The
// norm is taken from s, which knows the whole row where h is a piece of it. Where ||h|| is lost in the rounding of eps,
// pull h is lost in that of s du.
__device__ __forceinline__ float pull_of(float scale, float c, float eps, float r) {
  const float norm = scale > 0.0f ? c / scale - eps : 0.0f;
  return norm > 0.0f ? scale * (r / c) / norm : 0.0f;
}

// Sums have one chain of additions per chunk, which run side by side.
template <typename T, int kChunks>
__device__ __forceinline__ float sum_of_squares(const Chunk<T> (&h)[kChunks]) {
  float sum = 0;
#pragma unroll
  for (int k = 0; k < kChunks; ++k) {
    float part = 0;
#pragma unroll
    for (int i = 0; i < Chunk<T>::kSize; ++i) part = fmaf(h[k][i], h[k][i], part);
    sum += part;
  }
  return sum;
}

// h becomes a.
template <GeluKind kGelu, typename T, int kChunks>
__device__ __forceinline__ void activate(Chunk<T> (&h)[kChunks], float scale) {
#pragma unroll
  for (int k = 0; k < kChunks; ++k) {
    float a[Chunk<T>::kSize];
#pragma unroll
    for (int i = 0; i < Chunk<T>::kSize; ++i) a[i] = gelu_value<kGelu, T>(scale * h[k][i]);
    h[k].set(a);
  }
}

// Keeps du = da GELU'(u) and returns this thread's share of r = sum(u du).
template <GeluKind kGelu, typename T, int kChunks>
__device__ __forceinline__ float differentiate(const Chunk<T> (&da)[kChunks], const Chunk<T> (&h)[kChunks], float scale,
                                               float (&du)[kChunks][Chunk<T>::kSize]) {
  float sum = 0;
#pragma unroll
  for (int k = 0; k < kChunks; ++k) {
    float part = 0;
#pragma unroll
    for (int i = 0; i < Chunk<T>::kSize; ++i) {
      const float u = scale * h[k][i];
      du[k][i] = da[k][i] * gelu_slope<kGelu, T>(u);
      part = fmaf(u, du[k][i], part);
    }
    sum += part;
  }
  return sum;
}

// h becomes dh.
template <typename T, int kChunks>
__device__ __forceinline__ void project(Chunk<T> (&h)[kChunks], const float (&du)[kChunks][Chunk<T>::kSize],
                                        float scale, float pull) {
#pragma unroll
  for (int k = 0; k < kChunks; ++k) {
    float dh[Chunk<T>::kSize];
#pragma unroll
    for (int i = 0; i < Chunk<T>::kSize; ++i) dh[i] = fmaf(scale, du[k][i], -(pull * h[k][i]));
    h[k].set(dh);
  }
}

template <typename T, GeluKind kGelu, int kChunks, bool kTeam>
__global__ void __launch_bounds__((kTeam ? kMaxTeam : kRowsPerBlock) * kWarp)
    forward_kernel(const __grid_constant__ ForwardArgs<T> args) {
  const auto [row, part] = place_of<T, kTeam>(args.rows);
  if (row >= args.rows.count) return;  // a warp as a whole; never in a team
  const int64_t at = static_cast<int64_t>(row) * part.width;
  Chunk<T> h[kChunks];
  load_row(args.h + at, part, h);
  const Step step = args.rows.step;
  const float squares = step == Step::kResult ? args.sums[row] : row_sum<kTeam>(sum_of_squares(h));
  if (step == Step::kSum) {
    if (part.first == 0) args.sums[row] = squares;
    return;
  }
  const float scale = scale_of(squares, target_of(args.rows, row), args.rows.eps);
  if (part.first == 0) args.row_scale[row] = scale;
  activate<kGelu>(h, scale);
  store_row(args.a + at, part, h);
}

template <typename T, GeluKind kGelu, int kChunks, bool kTeam>
__global__ void __launch_bounds__((kTeam ? kMaxTeam : kRowsPerBlock) * kWarp)
    backward_kernel(const __grid_constant__ BackwardArgs<T> args) {
  const auto [row, part] = place_of<T, kTeam>(args.rows);
  if (row >= args.rows.count) return;
  const int64_t at = static_cast<int64_t>(row) * part.width;
  Chunk<T> da[kChunks], h[kChunks];
  load_row(args.h + at, part, h);
  load_row(args.da + at, part, da);
  const float scale = args.row_scale[row];
  float du[kChunks][Chunk<T>::kSize];
  const float share = differentiate<kGelu>(da, h, scale, du);
  const Step step = args.rows.step;
  const float r = step == Step::kResult ? args.sums[row] : row_sum<kTeam>(share);
  if (step == Step::kSum) {
    if (part.first == 0) args.sums[row] = r;
    return;
  }
  project(h, du, scale, pull_of(scale, target_of(args.rows, row), args.rows.eps, r));
  store_row(args.dh + at, part, h);
}

// The same for a row of any width: a block walks over it once per step.
template <typename T, typename Body>
__device__ __forceinline__ void for_each_chunk(const Rows& rows, const Body& body) {
  constexpr int kSize = Chunk<T>::kSize;
  for (int first = static_cast<int>(threadIdx.x) * kSize; first < rows.width; first += kLongThreads * kSize)
    body(RowPart{first, 0, rows.width, rows.whole});
}

template <typename T, GeluKind kGelu>
__global__ void __launch_bounds__(kLongThreads) forward_long_kernel(const __grid_constant__ ForwardArgs<T> args) {
  const uint32_t row = blockIdx.x;
  const int64_t at = static_cast<int64_t>(row) * args.rows.width;
  Chunk<T> h[1];
  float share = 0;
  if (args.rows.step != Step::kResult) {
    for_each_chunk<T>(args.rows, [&](const RowPart& part) {
      load_row(args.h + at, part, h);
      share += sum_of_squares(h);
    });
  }
  const float sum = block_sum_once(share);
  if (args.rows.step == Step::kSum) {
    if (threadIdx.x == 0) args.sums[row] = sum;
    return;
  }
  const float squares = args.rows.step == Step::kResult ? args.sums[row] : sum;
  const float scale = scale_of(squares, target_of(args.rows, row), args.rows.eps);
  if (threadIdx.x == 0) args.row_scale[row] = scale;
  for_each_chunk<T>(args.rows, [&](const RowPart& part) {
    load_row(args.h + at, part, h);
    activate<kGelu>(h, scale);
    store_row(args.a + at, part, h);
  });
}

template <typename T, GeluKind kGelu>
__global__ void __launch_bounds__(kLongThreads) backward_long_kernel(const __grid_constant__ BackwardArgs<T> args) {
  const uint32_t row = blockIdx.x;
  const int64_t at = static_cast<int64_t>(row) * args.rows.width;
  const float scale = args.row_scale[row];
  Chunk<T> da[1], h[1];
  float du[1][Chunk<T>::kSize], share = 0;
  const auto differentiate_chunk = [&](const RowPart& part) {
    load_row(args.h + at, part, h);
    load_row(args.da + at, part, da);
    return differentiate<kGelu>(da, h, scale, du);
  };
  if (args.rows.step != Step::kResult)
    for_each_chunk<T>(args.rows, [&](const RowPart& part) { share += differentiate_chunk(part); });
  const float sum = block_sum_once(share);
  if (args.rows.step == Step::kSum) {
    if (threadIdx.x == 0) args.sums[row] = sum;
    return;
  }
  const float r = args.rows.step == Step::kResult ? args.sums[row] : sum;
  const float pull = pull_of(scale, target_of(args.rows, row), args.rows.eps, r);
  for_each_chunk<T>(args.rows, [&](const RowPart& part) {
    differentiate_chunk(part);
    project(h, du, scale, pull);
    store_row(args.dh + at, part, h);
  });
}

// How many warps share a row, and how many chunks each of their threads holds. No warps: the row is too long.
struct Team {
  int warps = 0, chunks = 0;
};

// One warp if it can, else the team that leaves the fewest registers empty.
Team team_for(int64_t chunks) {
  if (chunks <= kMaxChunks * kWarp) return {1, static_cast<int>((chunks + kWarp - 1) / kWarp)};
  Team best;
  for (const int each : {4, 3}) {
    const int64_t warps = (chunks + each * kWarp - 1) / (each * kWarp);
    if (warps <= kMaxTeam && (best.warps == 0 || warps * each < best.warps * best.chunks))
      best = {static_cast<int>(warps), each};
  }
  return best;
}

// Calls body.template operator()<kChunks, kTeam>().
template <typename Body>
void with_team(const Team& team, const Body& body) {
  static_assert(kMaxChunks == 5, "the cases below");
  if (team.warps > 1 && team.chunks == 4) return body.template operator()<4, true>();
  if (team.warps > 1) return body.template operator()<3, true>();
  switch (team.chunks) {
    case 1: return body.template operator()<1, false>();
    case 2: return body.template operator()<2, false>();
    case 3: return body.template operator()<3, false>();
    case 4: return body.template operator()<4, false>();
    default: return body.template operator()<5, false>();
  }
}

// Calls body.template operator()<kGelu>(team, blocks, threads), which launches, unless there are no rows.
template <typename T, typename Body>
void with_launch(const Rows& rows, const Body& body) {
  if (rows.count == 0) return;
  const Team team = team_for(chunks_of<T>(rows.width));
  const uint32_t blocks = team.warps == 1 ? (rows.count + kRowsPerBlock - 1) / kRowsPerBlock : rows.count;
  const int warps = team.warps == 1 ? kRowsPerBlock : team.warps;
  const int threads = team.warps == 0 ? kLongThreads : warps * kWarp;
  with_gelu(rows.gelu, [&]<GeluKind kGelu>() { body.template operator()<kGelu>(team, blocks, threads); });
  NX_CUDA(cudaGetLastError());
}

template <typename T>
void launch_forward(const ForwardArgs<T>& args, Queue& queue) {
  with_launch<T>(args.rows, [&]<GeluKind kGelu>(const Team& team, uint32_t blocks, int threads) {
    if (team.warps == 0) {
      forward_long_kernel<T, kGelu><<<blocks, threads, 0, queue.stream()>>>(args);
    } else {
      with_team(team, [&]<int kChunks, bool kTeam>() {
        forward_kernel<T, kGelu, kChunks, kTeam><<<blocks, threads, 0, queue.stream()>>>(args);
      });
    }
  });
}

template <typename T>
void launch_backward(const BackwardArgs<T>& args, Queue& queue) {
  with_launch<T>(args.rows, [&]<GeluKind kGelu>(const Team& team, uint32_t blocks, int threads) {
    if (team.warps == 0) {
      backward_long_kernel<T, kGelu><<<blocks, threads, 0, queue.stream()>>>(args);
    } else {
      with_team(team, [&]<int kChunks, bool kTeam>() {
        backward_kernel<T, kGelu, kChunks, kTeam><<<blocks, threads, 0, queue.stream()>>>(args);
      });
    }
  });
}

// The rows of h. `op` is null where only squares are summed.
Rows rows_of(Step step, const NormGelu* op, const Tensor& h, bool whole) {
  const auto [rows, groups, width] = ops::grouped_rows(h);
  // Block indices are 32 bits wide; columns are counted in int, with room for a stride beyond the end.
  NX_CHECK(rows * groups <= INT32_MAX && width <= INT32_MAX / 2, "norm and GELU of {}", h.shape.str());
  Rows result;
  result.step = step;
  result.whole = whole;
  result.width = static_cast<int>(width);
  result.count = static_cast<uint32_t>(rows * groups);
  result.groups = static_cast<uint32_t>(groups);
  if (op == nullptr) return result;
  NX_CHECK(groups <= kMaxGroups, "{} groups in a row, but a launch takes {}", groups, kMaxGroups);
  for (int64_t g = 0; g < groups; ++g) result.scales[g] = static_cast<float>(op->scales[static_cast<size_t>(g)]);
  result.gelu = op->gelu;
  result.eps = static_cast<float>(op->eps);
  return result;
}

// Tensors that a step does not use are undefined: as f32, these are null.
void forward(Step step, const NormGelu* op, const Tensor& h, const Tensor& a, const Tensor& sums,
             const Tensor& row_scale, Queue& queue) {
  with_element(h.dtype, [&]<typename T>() {
    const T* in = h.as<T>();
    T* out = a.defined() ? a.as<T>() : nullptr;
    const bool whole = rows_are_whole<T>(ops::grouped_rows(h).width, {in, out});
    launch_forward<T>({rows_of(step, op, h, whole), in, out, sums.as<float>(), row_scale.as<float>()}, queue);
  });
}

void backward(Step step, const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
              const Tensor& sums, const Tensor& dh, Queue& queue) {
  with_element(h.dtype, [&]<typename T>() {
    const T *gradient = da.as<T>(), *in = h.as<T>();
    T* out = dh.defined() ? dh.as<T>() : nullptr;
    const Rows rows = rows_of(step, &op, h, rows_are_whole<T>(ops::grouped_rows(h).width, {gradient, in, out}));
    launch_backward<T>({rows, gradient, in, row_scale.as<float>(), sums.as<float>(), out}, queue);
  });
}

}  // namespace

template <>
void compute(const ops::NormGeluForward& op, Device& device) {
  if (op.options.norm == NormKind::kNone)
    return compute(ops::GateForward{GateKind::kGelu, op.options.gelu, op.h, op.a}, device);
  forward(Step::kBoth, &op.options, op.h, op.a, Tensor(), op.row_scale, device.queue);
}

template <>
void compute(const ops::NormGeluBackward& op, Device& device) {
  if (op.options.norm == NormKind::kNone)
    return compute(ops::GateBackward{GateKind::kGelu, op.options.gelu, op.da, op.h, op.dh}, device);
  backward(Step::kBoth, op.options, op.da, op.h, op.row_scale, Tensor(), op.dh, device.queue);
}

template <>
void compute(const ops::RowSumSquares& op, Device& device) {
  forward(Step::kSum, nullptr, op.h, Tensor(), op.sums, Tensor(), device.queue);
}

template <>
void compute(const ops::NormGeluForwardFrom& op, Device& device) {
  forward(Step::kResult, &op.options, op.h, op.a, op.sums, op.row_scale, device.queue);
}

template <>
void compute(const ops::NormGeluBackwardSums& op, Device& device) {
  backward(Step::kSum, op.options, op.da, op.h, op.row_scale, op.sums, Tensor(), device.queue);
}

template <>
void compute(const ops::NormGeluBackwardFrom& op, Device& device) {
  backward(Step::kResult, op.options, op.da, op.h, op.row_scale, op.sums, op.dh, device.queue);
}

}  // namespace nexus::cuda
