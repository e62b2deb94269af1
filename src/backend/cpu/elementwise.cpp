#include <cstring>
#include <type_traits>

#include "backend/cpu/kernels.h"
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

void zero(const Tensor& x) {
  char* bytes = static_cast<char*>(x.data);
  parallel_chunks(x.size_bytes(), kElementChunk * 4,
                  [&](int64_t begin, int64_t end) { std::memset(bytes + begin, 0, static_cast<size_t>(end - begin)); });
}

void copy(const Tensor& from, const Tensor& to) {
  if (from.dtype == to.dtype) {
    const char* source = static_cast<const char*>(from.data);
    char* target = static_cast<char*>(to.data);
    parallel_chunks(to.size_bytes(), kElementChunk * 4, [&](int64_t begin, int64_t end) {
      std::memcpy(target + begin, source + begin, static_cast<size_t>(end - begin));
    });
    return;
  }
  for_pairs(from, to, []<typename From, typename To>(const From* source, To* target, int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) store(target[i], static_cast<Wide<To>>(Wide<From>(source[i])));
  });
}

void add(const Tensor& x, const Tensor& y) {
  for_pairs(x, y, []<typename From, typename To>(const From* source, To* target, int64_t begin, int64_t end) {
    using Sum = std::common_type_t<Wide<From>, Wide<To>>;
#pragma omp simd
    for (int64_t i = begin; i < end; ++i)
      store(target[i], static_cast<Wide<To>>(Sum(Wide<To>(target[i])) + Sum(Wide<From>(source[i]))));
  });
}

void add_sum(const Tensor& x, const Tensor& total) {
  with_scalar(x.dtype, [&]<typename T>() {
    const T* values = x.as<T>();
    double sum = 0;
    for (int64_t i = 0; i < x.count(); ++i) sum += static_cast<double>(Wide<T>(values[i]));
    *total.as<double>() += sum;
  });
}

void copy_matrix(const Mat& from, const Mat& to) {
  const bool whole_rows = from.ld == from.cols && to.ld == to.cols;  // then a matrix is one contiguous run
  const int64_t runs = whole_rows ? 1 : to.rows, size = size_of(to.dtype);
  const int64_t run_bytes = (whole_rows ? to.rows * to.cols : to.cols) * size;
  constexpr int64_t kPieceBytes = kElementChunk * 4;
  const int64_t pieces = (run_bytes + kPieceBytes - 1) / kPieceBytes;  // of one run
  const char* source = static_cast<const char*>(from.data);
  char* target = static_cast<char*>(to.data);
  parallel_for(to.batch * runs * pieces, [&](int64_t task) {
    const int64_t batch = task / pieces / runs, run = task / pieces % runs, begin = task % pieces * kPieceBytes;
    std::memcpy(target + (batch * to.batch_stride + run * to.ld) * size + begin,
                source + (batch * from.batch_stride + run * from.ld) * size + begin,
                static_cast<size_t>(std::min(kPieceBytes, run_bytes - begin)));
  });
}

}  // namespace nexus::cpu
