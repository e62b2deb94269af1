// Where an element that a thread reaches a few steps after its block's first one lies among rows of any length, without
// a 64-bit division per element.
#pragma once

#include <cstdint>

namespace nexus::cuda {

struct SplitIndex {
  int64_t quotient, remainder;
};

// (begin + step) split by `period`, for 0 <= begin < period and step <= kSpan. A period of at least kSpan is crossed
// once at most; under it 32 bits suffice.
template <uint32_t kSpan>
__device__ inline SplitIndex split_index(int64_t begin, uint32_t step, int64_t period) {
  if (period >= kSpan) {
    const int64_t at = begin + step;
    return at >= period ? SplitIndex{1, at - period} : SplitIndex{0, at};
  }
  const uint32_t at = static_cast<uint32_t>(begin) + step, size = static_cast<uint32_t>(period);
  return {at / size, at % size};
}

}  // namespace nexus::cuda
