// The little matrix products inside attention, for one thread: C (+)= A B on blocks that live in the L1 and L2 caches.
//
// All extents but the inner one are padded by the caller, so there are no remainders: C has a multiple of kGemmRows
// rows and B a multiple of kLanes<C> columns, 64-byte aligned. A may lie in any order (its elements are broadcast, one
// at a time).
#pragma once

#include <cstdint>

#include "backend/cpu/vector_math.h"

namespace nexus::cpu {

// One SIMD register's worth of columns and the rows of a register tile; GCC's vector extension makes plain SIMD code of
// any instruction set from it. AVX-512 has 32 registers, older sets have 16.
#ifdef __AVX512F__
constexpr int kVectorBytes = 64, kGemmRows = 8, kTileVectors = 3;
#else
constexpr int kVectorBytes = 32, kGemmRows = 4, kTileVectors = 2;
#endif

template <typename C>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(C));

// The next multiple of kLanes<C>.
template <typename C>
constexpr int64_t padded_columns(int64_t columns) {
  return (columns + kLanes<C> - 1) / kLanes<C> * kLanes<C>;
}

// Element (i, k) of A lies at data + i * row_stride + k * inner_stride.
template <typename C>
struct GemmLeft {
  const C* data;
  int64_t row_stride, inner_stride;
};

// One register tile: kGemmRows rows, kVectors SIMD columns.
template <typename C, int kVectors>
NX_INLINE void gemm_tile(GemmLeft<C> a, const C* b, int64_t ldb, C* c, int64_t ldc, int64_t inner, bool accumulate) {
  typedef C Vector [[gnu::vector_size(kVectorBytes), gnu::may_alias]];
  constexpr int64_t kWidth = kLanes<C>;
  Vector sums[kGemmRows][kVectors];
  for (int i = 0; i < kGemmRows; ++i) {
    for (int j = 0; j < kVectors; ++j)
      sums[i][j] = accumulate ? *reinterpret_cast<const Vector*>(c + i * ldc + j * kWidth) : Vector{};
  }
  for (int64_t k = 0; k < inner; ++k) {
    const C* left = a.data + k * a.inner_stride;
    Vector right[kVectors];
    for (int j = 0; j < kVectors; ++j) right[j] = *reinterpret_cast<const Vector*>(b + k * ldb + j * kWidth);
    for (int i = 0; i < kGemmRows; ++i) {
      for (int j = 0; j < kVectors; ++j) sums[i][j] += left[i * a.row_stride] * right[j];
    }
  }
  for (int i = 0; i < kGemmRows; ++i) {
    for (int j = 0; j < kVectors; ++j) *reinterpret_cast<Vector*>(c + i * ldc + j * kWidth) = sums[i][j];
  }
}

// C[rows, columns] (+)= A[rows, inner] B[inner, columns].
template <typename C>
void small_gemm(int64_t rows, int64_t columns, int64_t inner, GemmLeft<C> a, const C* b, int64_t ldb, C* c, int64_t ldc,
                bool accumulate) {
  for (int64_t i = 0; i < rows; i += kGemmRows) {
    const GemmLeft<C> left = {a.data + i * a.row_stride, a.row_stride, a.inner_stride};
    C* row = c + i * ldc;
    int64_t j = 0;
    for (int64_t vectors = columns / kLanes<C>; vectors > 0;) {
      // 4 vectors go as 2 + 2, otherwise as many full tiles as possible.
      const int64_t take = vectors == 1 ? 1 : (vectors == 2 || vectors == 4 || kTileVectors == 2 ? 2 : 3);
      if (take == 1) gemm_tile<C, 1>(left, b + j, ldb, row + j, ldc, inner, accumulate);
      if (take == 2) gemm_tile<C, 2>(left, b + j, ldb, row + j, ldc, inner, accumulate);
      if (take == 3) gemm_tile<C, 3>(left, b + j, ldb, row + j, ldc, inner, accumulate);
      j += take * kLanes<C>;
      vectors -= take;
    }
  }
}

}  // namespace nexus::cpu
