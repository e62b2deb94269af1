#include "tensor/arena.h"

#include <algorithm>

namespace nexus {

Tensor Arena::alloc(DType dtype, Shape shape) {
  Tensor view{nullptr, dtype, shape};
  const int64_t begin = used_bytes_;
  used_bytes_ += (view.size_bytes() + kAlignment - 1) / kAlignment * kAlignment;
  peak_bytes_ = std::max(peak_bytes_, used_bytes_);
  if (counting_) return view;
  NX_CHECK(used_bytes_ <= buffer_.size_bytes(), "{} of {} needs {} bytes of {}", name_of(dtype), shape.str(),
           used_bytes_, buffer_.size_bytes());
  view.data = static_cast<char*>(buffer_.data()) + begin;
  return view;
}

}  // namespace nexus
