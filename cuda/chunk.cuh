// Chunks: 16 bytes of a row, which one thread loads, computes on and stores. A kernel that holds its row in registers
// keeps bf16 packed, two elements to a register, and unpacks them where it uses them.
//
// Rows that begin and end on 16 bytes move in single instructions, all others element by element. Both ways give an
// element to the same thread, so that results do not depend on where a tensor lies.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "cuda/pack16.cuh"

namespace nexus::cuda {

template <typename T>
struct Chunk {
  static constexpr bool kPacked = sizeof(T) == 2;
  static constexpr int kSize = kPackSize<T>;
  using Bits = std::conditional_t<kPacked, uint16_t, uint32_t>;  // of one element
  uint32_t words[4];

  // Element i, a constant after unrolling.
  __device__ __forceinline__ float operator[](int i) const {
    if constexpr (kPacked)
      return i % 2 == 0 ? low_bf16(words[i / 2]) : high_bf16(words[i / 2]);
    else
      return __uint_as_float(words[i]);
  }

  // Halves are put together here, and not by bf16_pair, which makes the compiler schedule the kernels otherwise than
  // those that were tuned.
  __device__ __forceinline__ void set(const float (&values)[kSize]) {
#pragma unroll
    for (int word = 0; word < 4; ++word) {
      if constexpr (kPacked) {
        const __nv_bfloat162_raw pair = __floats2bfloat162_rn(values[2 * word], values[2 * word + 1]);
        words[word] = pair.x | static_cast<uint32_t>(pair.y) << 16;
      } else {
        words[word] = __float_as_uint(values[word]);
      }
    }
  }

  __device__ __forceinline__ Bits bits(int i) const {
    if constexpr (kPacked)
      return static_cast<Bits>(words[i / 2] >> (i % 2 * 16));
    else
      return words[i];
  }

  __device__ __forceinline__ void set_bits(int i, Bits value) {
    if constexpr (kPacked)
      words[i / 2] = i % 2 == 0 ? value : words[i / 2] | static_cast<uint32_t>(value) << 16;
    else
      words[i] = value;
  }
};

// What one thread has of a row: the chunks that begin at elements `first`, `first` + `step`, ...
struct RowPart {
  int first, step, width;
  bool whole;  // the row begins and ends on 16 bytes
};

// Zeros beyond the end of the row. The loads say that nobody needs these bytes again before the caches have seen much
// else.
template <typename T, int kChunks>
__device__ __forceinline__ void load_row(const T* row, const RowPart& part, Chunk<T> (&chunks)[kChunks]) {
  using Bits = typename Chunk<T>::Bits;
  const T* mine = row + part.first;
  const int left = part.width - part.first;
  if (part.whole) {
#pragma unroll
    for (int k = 0; k < kChunks; ++k) {
      uint4 words = make_uint4(0u, 0u, 0u, 0u);
      if (k * part.step < left) words = __ldcs(reinterpret_cast<const uint4*>(mine + k * part.step));
      chunks[k] = {{words.x, words.y, words.z, words.w}};
    }
    return;
  }
#pragma unroll
  for (int k = 0; k < kChunks; ++k) {
#pragma unroll
    for (int i = 0; i < Chunk<T>::kSize; ++i) {
      const int at = k * part.step + i;
      chunks[k].set_bits(i, at < left ? reinterpret_cast<const Bits*>(mine)[at] : Bits(0));
    }
  }
}

template <typename T, int kChunks>
__device__ __forceinline__ void store_row(T* row, const RowPart& part, const Chunk<T> (&chunks)[kChunks]) {
  using Bits = typename Chunk<T>::Bits;
  T* mine = row + part.first;
  const int left = part.width - part.first;
  if (part.whole) {
#pragma unroll
    for (int k = 0; k < kChunks; ++k) {
      const uint32_t(&words)[4] = chunks[k].words;
      if (k * part.step < left)
        *reinterpret_cast<uint4*>(mine + k * part.step) = make_uint4(words[0], words[1], words[2], words[3]);
    }
    return;
  }
#pragma unroll
  for (int k = 0; k < kChunks; ++k) {
#pragma unroll
    for (int i = 0; i < Chunk<T>::kSize; ++i) {
      const int at = k * part.step + i;
      if (at < left) reinterpret_cast<Bits*>(mine)[at] = chunks[k].bits(i);
    }
  }
}

template <typename T>
constexpr int64_t chunks_of(int64_t elements) {
  return (elements + Chunk<T>::kSize - 1) / Chunk<T>::kSize;
}

// Whether rows of `width` elements that follow each other from every one of these pointers begin and end on 16 bytes.
template <typename T>
bool rows_are_whole(int64_t width, std::initializer_list<const T*> pointers) {
  return std::all_of(pointers.begin(), pointers.end(), [=](const T* pointer) { return in_packs<T>(pointer, width); });
}

}  // namespace nexus::cuda
