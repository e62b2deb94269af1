#include "tensor/finite.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace nexus {
namespace {

// A number is finite unless all bits of its exponent are set. Whole blocks are looked at without a branch, so that the
// loop is vectorised and keeps up with memory.
template <typename Word, Word kExponent>
int64_t first_full_exponent(const void* data, int64_t count) {
  const auto full = [bytes = static_cast<const char*>(data)](int64_t i) {
    Word word;
    std::memcpy(&word, bytes + i * static_cast<int64_t>(sizeof word), sizeof word);
    return (word & kExponent) == kExponent;
  };
  constexpr int64_t kBlock = 4096;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(count, begin + kBlock);
    Word bad = 0;
    for (int64_t i = begin; i < end; ++i) bad = static_cast<Word>(bad | static_cast<Word>(full(i)));
    if (bad == 0) continue;
    for (int64_t i = begin; i < end; ++i)
      if (full(i)) return i;
  }
  return -1;
}

}  // namespace

int64_t first_nonfinite(const void* data, DType dtype, int64_t count) {
  switch (dtype) {
    case DType::kF32: return first_full_exponent<uint32_t, 0x7F800000u>(data, count);
    case DType::kBF16: return first_full_exponent<uint16_t, 0x7F80u>(data, count);
    case DType::kF64: return first_full_exponent<uint64_t, 0x7FF0000000000000u>(data, count);
    case DType::kI32: break;
  }
  NX_CHECK(false, "{} is always finite", name_of(dtype));
}

}  // namespace nexus
