#include "backend/cpu/matmul.h"

#include "backend/cpu/device.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/scalar.h"

namespace nexus::cpu {

namespace {

template <typename From, typename To>
void convert_row(const From* from, To* to, int64_t count) {
#pragma omp simd
  for (int64_t j = 0; j < count; ++j) store(to[j], static_cast<float>(from[j]));
}

// Converts a matrix into another of the same shape and another layout.
template <typename From, typename To>
void convert(const Mat& from, const Mat& to) {
  const From* source = static_cast<const From*>(from.data);
  To* target = static_cast<To*>(to.data);
  parallel_for(from.batch * from.rows, [&](int64_t task) {
    const int64_t batch = task / from.rows, row = task % from.rows;
    convert_row(source + batch * from.batch_stride + row * from.ld, target + batch * to.batch_stride + row * to.ld,
                from.cols);
  });
}

// The matrix itself if it is f32, otherwise a dense f32 matrix of its shape in `memory`, not yet filled.
Mat f32_twin(const Mat& m, Buffer& memory) {
  if (m.dtype == DType::kF32) return m;
  const int64_t bytes = m.batch * m.rows * m.cols * size_of(DType::kF32);
  if (memory.size_bytes() < bytes) memory = host_buffer(bytes);
  Mat twin = m;
  twin.data = memory.data();
  twin.dtype = DType::kF32;
  twin.ld = m.cols;
  twin.batch_stride = m.rows * m.cols;
  return twin;
}

void load(const Mat& m, const Mat& twin) {
  if (m.dtype == DType::kBF16) convert<Bf16, float>(m, twin);
}

}  // namespace

void Matmul::run(const Mat& a, const Mat& b, const Mat& c, float beta) {
  if (a.dtype == DType::kF64) return blas_matmul(a, b, c, beta);
  if (a.dtype == DType::kF32) return run_f32(a, b, c, beta);
  if (onednn_ && onednn_->has_native_bf16() && onednn_->run(a, b, c, beta)) return;
  run_converted(a, b, c, beta);
}

void Matmul::run_f32(const Mat& a, const Mat& b, const Mat& c, float beta) {
  if (!onednn_ || !onednn_->run(a, b, c, beta)) blas_matmul(a, b, c, beta);
}

void Matmul::run_converted(const Mat& a, const Mat& b, const Mat& c, float beta) {
  const Mat left = f32_twin(a, converted_[0]), right = f32_twin(b, converted_[1]), result = f32_twin(c, converted_[2]);
  load(a, left);
  load(b, right);
  if (beta != 0) load(c, result);
  run_f32(left, right, result, beta);
  if (c.dtype == DType::kBF16) convert<float, Bf16>(result, c);
}

std::string Matmul::description() const {
  if (!onednn_) return fmt::format("{}, bf16 converted to f32", blas_description());
  return fmt::format("{}, bf16 {}, f64 {}", onednn_->description(),
                     onednn_->has_native_bf16() ? "native" : "converted to f32", blas_description());
}

template <>
void compute(const ops::MatMul& op, Device& device) {
  device.matmul.run(op.a, op.b, op.c, op.beta);
}

}  // namespace nexus::cpu
