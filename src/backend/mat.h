// Mat: one operand of a (batched) matrix product, a view like Tensor.
#pragma once

#include "tensor/tensor.h"

namespace nexus {

// `rows` x `cols` elements stored with leading dimension `ld`; `transposed` swaps their roles in the product. Element
// (b, i, j) lies at data + b * batch_stride + i * ld + j.
struct Mat {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0, cols = 0, ld = 0;
  int64_t batch = 1, batch_stride = 0;
  bool transposed = false;

  Mat() = default;
  // A rank-2 tensor as it lies.
  Mat(const Tensor& tensor);  // NOLINT(google-explicit-constructor): reads as the matrix it is
  // Any tensor seen as rows x cols with leading dimension ld, from element `offset`.
  static Mat view(const Tensor& tensor, int64_t rows, int64_t cols, int64_t ld, int64_t offset = 0);
  Mat batched(int64_t count, int64_t stride) const;
  Mat t() const;
  int64_t logical_rows() const { return transposed ? cols : rows; }
  int64_t logical_cols() const { return transposed ? rows : cols; }
  // What a product moves of it: a matrix that all products of a batch share (stride 0) is moved once.
  double bytes() const { return static_cast<double>((batch_stride == 0 ? 1 : batch) * rows * cols * size_of(dtype)); }

  // Refuses a result in which different (batch, i, j) are the same element: matrices must lie one after the other, or
  // side by side in rows of ld.
  void check_apart() const;
};

}  // namespace nexus
