#include "backend/ops/operation.h"

namespace nexus::ops {

void check_float(const Tensor& x) {
  NX_CHECK(x.dtype != DType::kI32, "{} of {}", name_of(x.dtype), x.shape.str());
}

void check_same(const Tensor& x, const Tensor& y) {
  NX_CHECK(x.shape == y.shape && x.dtype == y.dtype, "{} {} against {} {}", name_of(x.dtype), x.shape.str(),
           name_of(y.dtype), y.shape.str());
}

void check_is(const Tensor& x, DType dtype, const Shape& shape) {
  NX_CHECK(x.dtype == dtype && x.shape == shape, "{} {} should be {} {}", name_of(x.dtype), x.shape.str(),
           name_of(dtype), shape.str());
}

void check_wide(const Tensor& x, DType compute, const Shape& shape) {
  check_is(x, wide_of(compute), shape);
}

void check_packed(const Tensor& x, DType dtype, int64_t tokens, int64_t used_width, int64_t ld) {
  NX_CHECK(x.dtype == dtype && x.shape.rank() >= 1 && x.shape[0] == tokens, "{} {} should be {} with {} tokens",
           name_of(x.dtype), x.shape.str(), name_of(dtype), tokens);
  NX_CHECK(ld >= used_width, "leading dimension {} under a width of {}", ld, used_width);
}

}  // namespace nexus::ops
