#include "comm/tensor_checks.h"

#include <functional>

namespace nexus {
namespace {

void check_type(const Tensor& x) {
  NX_CHECK(x.dtype == DType::kF32 || x.dtype == DType::kF64 || x.dtype == DType::kBF16, "a collective on {}",
           name_of(x.dtype));
}

}  // namespace

bool is_in_place(const Tensor& whole, const Tensor& mine, int rank) {
  return mine.data == static_cast<const char*>(whole.data) + rank * mine.size_bytes();
}

void check_all_reduce(const Tensor& x) {
  check_type(x);
}

void check_parts(const Tensor& whole, const Tensor& mine, int rank, int size) {
  check_type(whole);
  NX_CHECK(mine.dtype == whole.dtype, "{} and {}", name_of(mine.dtype), name_of(whole.dtype));
  NX_CHECK(whole.count() % size == 0 && mine.count() == whole.count() / size, "{} elements in {} parts of {}",
           whole.count(), size, mine.count());
  if (whole.data == nullptr || mine.data == nullptr || is_in_place(whole, mine, rank)) return;
  const auto* first = static_cast<const char*>(whole.data);
  const auto* part = static_cast<const char*>(mine.data);
  const std::less_equal<> at_or_before;  // also orders pointers into different arrays
  NX_CHECK(at_or_before(part + mine.size_bytes(), first) || at_or_before(first + whole.size_bytes(), part),
           "a part of {} bytes overlaps the tensor of {} bytes elsewhere than at its own place", mine.size_bytes(),
           whole.size_bytes());
}

}  // namespace nexus
