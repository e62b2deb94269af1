#include <cstring>
#include <type_traits>

#include "backend/cpu/device.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/scalar.h"

namespace nexus::cpu {

namespace {

// body(from, to, begin, end) over the chunks of two tensors of any two floating-point types.
template <typename Body>
void for_pairs(const Tensor& from, const Tensor& to, const Body& body) {
  with_scalar(from.dtype, [&]<typename From>() {
    with_scalar(to.dtype, [&]<typename To>() {
      const From* source = from.as<From>();
      To* target = to.as<To>();
      parallel_chunks(to.count(), kElementChunk, [&](int64_t begin, int64_t end) { body(source, target, begin, end); });
    });
  });
}

}  // namespace

template <>
void compute(const ops::Zero& op, Device&) {
  char* bytes = static_cast<char*>(op.x.data);
  parallel_chunks(op.x.size_bytes(), kElementChunk * 4,
                  [&](int64_t begin, int64_t end) { std::memset(bytes + begin, 0, static_cast<size_t>(end - begin)); });
}

template <>
void compute(const ops::Copy& op, Device&) {
  if (op.from.dtype == op.to.dtype) {
    const char* source = static_cast<const char*>(op.from.data);
    char* target = static_cast<char*>(op.to.data);
    parallel_chunks(op.to.size_bytes(), kElementChunk * 4, [&](int64_t begin, int64_t end) {
      std::memcpy(target + begin, source + begin, static_cast<size_t>(end - begin));
    });
    return;
  }
  for_pairs(op.from, op.to, []<typename From, typename To>(const From* source, To* target, int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) store(target[i], static_cast<Wide<To>>(Wide<From>(source[i])));
  });
}

template <>
void compute(const ops::Add& op, Device&) {
  for_pairs(op.x, op.y, []<typename From, typename To>(const From* source, To* target, int64_t begin, int64_t end) {
    using Sum = std::common_type_t<Wide<From>, Wide<To>>;
#pragma omp simd
    for (int64_t i = begin; i < end; ++i)
      store(target[i], static_cast<Wide<To>>(Sum(Wide<To>(target[i])) + Sum(Wide<From>(source[i]))));
  });
}

template <>
void compute(const ops::AddSum& op, Device&) {
  with_scalar(op.x.dtype, [&]<typename T>() {
    const T* values = op.x.as<T>();
    double sum = 0;
    for (int64_t i = 0; i < op.x.count(); ++i) sum += static_cast<double>(Wide<T>(values[i]));
    *op.total.as<double>() += sum;
  });
}

template <>
void compute(const ops::CopyMatrix& op, Device&) {
  const bool whole_rows = op.from.ld == op.from.cols && op.to.ld == op.to.cols;  // then a matrix is one contiguous run
  const int64_t runs = whole_rows ? 1 : op.to.rows, size = size_of(op.to.dtype);
  const int64_t run_bytes = (whole_rows ? op.to.rows * op.to.cols : op.to.cols) * size;
  constexpr int64_t kPieceBytes = kElementChunk * 4;
  const int64_t pieces = (run_bytes + kPieceBytes - 1) / kPieceBytes;  // of one run
  const char* source = static_cast<const char*>(op.from.data);
  char* target = static_cast<char*>(op.to.data);
  parallel_for(op.to.batch * runs * pieces, [&](int64_t task) {
    const int64_t batch = task / pieces / runs, run = task / pieces % runs, begin = task % pieces * kPieceBytes;
    std::memcpy(target + (batch * op.to.batch_stride + run * op.to.ld) * size + begin,
                source + (batch * op.from.batch_stride + run * op.from.ld) * size + begin,
                static_cast<size_t>(std::min(kPieceBytes, run_bytes - begin)));
  });
}

template <>
void compute(const ops::ScaleColumns& op, Device&) {
  with_scalar(op.x.dtype, [&]<typename T>() {
    const int64_t width = op.width();
    const auto factor = static_cast<Wide<T>>(op.factor);
    parallel_for(op.rows(), [&](int64_t row) {
      T* values = op.x.as<T>() + row * width;
#pragma omp simd
      for (int64_t j = op.begin; j < width; ++j) store(values[j], factor * Wide<T>(values[j]));
    });
  });
}

}  // namespace nexus::cpu
