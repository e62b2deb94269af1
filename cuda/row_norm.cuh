// What the forward and the backward pass of norms over rows share: rows in registers, sums over them, and the choice of
// the kernel for a width.
//
// A row that packs can reach lies in the registers of one warp, or of a block of kWideWarps warps: every element is
// read and written once. Longer and unaligned rows are walked by one warp, several times.
#pragma once

#include "cuda/device.h"
#include "cuda/device_math.cuh"
#include "cuda/pack16.cuh"

namespace nexus::cuda {

constexpr int kNarrowWarps = 4;  // rows in a block of narrow rows
constexpr int kWideWarps = 8;
constexpr int kMaxPacks = 8;  // of a lane
constexpr int kAnyWarps = 8;  // rows in a block of rows that are walked

template <int kWarps>
constexpr int kRowsOf = kWarps == 1 ? kNarrowWarps : 1;
template <int kWarps>
constexpr int kThreadsOf = kWarps* kRowsOf<kWarps>* kWarp;

// The row's sum of x, for every thread that holds a part of it.
template <int kWarps>
__device__ inline float row_sum(float x, float* shared) {
  if constexpr (kWarps == 1)
    return warp_sum(x);
  else
    return block_sum<kWarps>(x, shared);
}

// Pack i of a lane is pack i * (lanes of the row) + lane of the row. Beyond the row's end packs are zero, so that only
// memory needs to know where it is.
template <typename T, int kPacks, int kWarps>
struct RegisterRow {
  static constexpr int kSize = kPackSize<T>;
  static constexpr int kLanes = kWarps * kWarp;
  uint4 packs[kPacks];

  __device__ static int lane() { return threadIdx.x % kLanes; }
  // The element of the row at which a pack of this lane begins.
  __device__ static int at(int i) { return (i * kLanes + lane()) * kSize; }

  __device__ void load(const T* row, int width) {
#pragma unroll
    for (int i = 0; i < kPacks; ++i)
      packs[i] = at(i) < width ? *reinterpret_cast<const uint4*>(row + at(i)) : uint4{0, 0, 0, 0};
  }
  __device__ void store(int i, const float (&values)[kSize], T* row, int width) {
    packs[i] = pack_of(values);
    if (at(i) < width) *reinterpret_cast<uint4*>(row + at(i)) = packs[i];
  }
};

// The weights of a pack that begins at an element of the row; ones where there are none.
template <typename T>
__device__ inline void load_gain(const T* weight, int at, int width, float (&gain)[kPackSize<T>]) {
  constexpr uint32_t kOnes = sizeof(T) == 2 ? 0x3F803F80u : 0x3F800000u;
  uint4 pack = {kOnes, kOnes, kOnes, kOnes};
  if (weight != nullptr && at < width) pack = *reinterpret_cast<const uint4*>(weight + at);
  unpack(pack, gain);
}

// Calls body.template operator()<kPacks, kWarps>() for rows of `width` in packs; false where they are too long.
template <typename T, typename Body>
bool with_register_row(int64_t width, const Body& body) {
  const int64_t packs = width / kPackSize<T>;
  const int64_t narrow = (packs + kWarp - 1) / kWarp, wide = (packs + kWideWarps * kWarp - 1) / (kWideWarps * kWarp);
  if (wide > kMaxPacks) return false;
  if (narrow > kMaxPacks) {
    if (wide <= 2) return body.template operator()<2, kWideWarps>(), true;
    if (wide <= 4) return body.template operator()<4, kWideWarps>(), true;
    return body.template operator()<kMaxPacks, kWideWarps>(), true;
  }
  switch (narrow) {
    case 1: return body.template operator()<1, 1>(), true;
    case 2: return body.template operator()<2, 1>(), true;
    case 3: return body.template operator()<3, 1>(), true;
    case 4: return body.template operator()<4, 1>(), true;
    case 5: return body.template operator()<5, 1>(), true;
    case 6: return body.template operator()<6, 1>(), true;
    default: return body.template operator()<kMaxPacks, 1>(), true;
  }
}

inline unsigned blocks_of(int64_t rows, int rows_per_block) {
  return static_cast<unsigned>((rows + rows_per_block - 1) / rows_per_block);
}

template <typename T>
inline const T* data_of(const Tensor& x) {
  return x.defined() ? static_cast<const T*>(x.data) : nullptr;
}

}  // namespace nexus::cuda
