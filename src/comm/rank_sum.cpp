#include "comm/rank_sum.h"

#include <algorithm>

#include "core/error.h"

namespace nexus {
namespace {

// Partial sums of one tile stay in the first-level cache while the parts stream past: 4 or 8 KiB.
constexpr int64_t kTile = 1024;

float widen(float value) {
  return value;
}
double widen(double value) {
  return value;
}
float widen(Bf16 value) {
  return static_cast<float>(value);
}

void store(float& to, float value) {
  to = value;
}
void store(double& to, double value) {
  to = value;
}
// Assigns the bits, not the struct: GCC 12 does not vectorise loops that copy structs.
void store(Bf16& to, float value) {
  to.bits = Bf16(value).bits;
}

template <typename T>
void sum_tile(std::span<const void* const> parts, T* out, int64_t begin, int64_t count) {
  using Wide = decltype(widen(T{}));
  alignas(64) Wide sums[kTile];
  const T* first = static_cast<const T*>(parts[0]) + begin;
  for (int64_t i = 0; i < count; ++i) sums[i] = widen(first[i]);
  for (size_t r = 1; r < parts.size(); ++r) {
    const T* next = static_cast<const T*>(parts[r]) + begin;
    for (int64_t i = 0; i < count; ++i) sums[i] += widen(next[i]);
  }
  for (int64_t i = 0; i < count; ++i) store(out[begin + i], sums[i]);
}

template <typename T>
void sum_tiles(std::span<const void* const> parts, T* out, int64_t count) {
#pragma omp parallel for schedule(static) if (count > 64 * kTile)
  for (int64_t begin = 0; begin < count; begin += kTile) sum_tile(parts, out, begin, std::min(kTile, count - begin));
}

}  // namespace

void sum_in_rank_order(DType dtype, std::span<const void* const> parts, void* out, int64_t count) {
  switch (dtype) {
    case DType::kF32: return sum_tiles(parts, static_cast<float*>(out), count);
    case DType::kF64: return sum_tiles(parts, static_cast<double*>(out), count);
    case DType::kBF16: return sum_tiles(parts, static_cast<Bf16*>(out), count);
    default: NX_CHECK(false, "no sum of {} over ranks", name_of(dtype));
  }
}

}  // namespace nexus
