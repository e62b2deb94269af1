#include "backend/mat.h"

namespace nexus {

Mat::Mat(const Tensor& tensor)
    : data(tensor.data), dtype(tensor.dtype), rows(tensor.shape[0]), cols(tensor.shape[1]), ld(tensor.shape[1]) {
  NX_CHECK(tensor.shape.rank() == 2, "a matrix needs two axes, not {}", tensor.shape.str());
}

Mat Mat::view(const Tensor& tensor, int64_t rows, int64_t cols, int64_t ld, int64_t offset) {
  NX_CHECK(rows >= 0 && cols >= 0 && ld >= cols && offset >= 0, "{} x {} with leading dimension {} from {}", rows, cols,
           ld, offset);
  Mat mat;
  mat.data = tensor.data ? static_cast<char*>(tensor.data) + offset * size_of(tensor.dtype) : nullptr;
  mat.dtype = tensor.dtype;
  mat.rows = rows;
  mat.cols = cols;
  mat.ld = ld;
  return mat;
}

Mat Mat::batched(int64_t count, int64_t stride) const {
  Mat mat = *this;
  mat.batch = count;
  mat.batch_stride = stride;
  return mat;
}

Mat Mat::t() const {
  Mat mat = *this;
  mat.transposed = !transposed;
  return mat;
}

void Mat::check_apart() const {
  const bool stacked = batch_stride >= (rows - 1) * ld + cols;
  const bool beside = batch_stride >= cols && (batch - 1) * batch_stride + cols <= ld;
  NX_CHECK(batch <= 1 || stacked || beside, "results {} apart overlap", batch_stride);
}

}  // namespace nexus
