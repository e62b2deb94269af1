#include <cstring>

#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/scalar.h"

namespace nexus::cpu {

namespace {

// Columns of one backward task: one cache line of gradients.
constexpr int64_t kColumns = 64;

void check_range(const Tensor& tokens, int64_t vocabulary) {
  const int32_t* ids = tokens.as<int32_t>();
  for (int64_t i = 0; i < tokens.count(); ++i)
    NX_CHECK(ids[i] >= 0 && ids[i] < vocabulary, "token {} is {} of a vocabulary of {}", i, ids[i], vocabulary);
}

}  // namespace

template <typename T>
void embedding_forward(const Tensor& tokens, const Tensor& weight, const Tensor& out) {
  check_range(tokens, weight.shape[0]);
  const int64_t width = weight.shape[1];
  const int32_t* ids = tokens.as<int32_t>();
  const T* table = weight.as<T>();
  T* output = out.as<T>();
  parallel_for(tokens.count(), [&](int64_t i) {
    std::memcpy(output + i * width, table + ids[i] * width, static_cast<size_t>(width) * sizeof(T));
  });
}

// Every task owns a slice of columns and walks all tokens in order: no two tasks write the same element, and the order
// of the sum does not depend on the threads.
template <typename T>
void embedding_backward(const Tensor& tokens, const Tensor& dout, const Tensor& dweight) {
  check_range(tokens, dweight.shape[0]);
  const int64_t width = dweight.shape[1];
  const int32_t* ids = tokens.as<int32_t>();
  const T* gradient = dout.as<T>();
  Wide<T>* table = dweight.as<Wide<T>>();
  parallel_chunks(width, kColumns, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < tokens.count(); ++i) {
      const T* from = gradient + i * width;
      Wide<T>* to = table + ids[i] * width;
#pragma omp simd
      for (int64_t j = begin; j < end; ++j) to[j] += Wide<T>(from[j]);
    }
  });
}

#define NX_INSTANTIATE(T)                                                          \
  template void embedding_forward<T>(const Tensor&, const Tensor&, const Tensor&); \
  template void embedding_backward<T>(const Tensor&, const Tensor&, const Tensor&);
NX_INSTANTIATE(float)
NX_INSTANTIATE(Bf16)
NX_INSTANTIATE(double)
#undef NX_INSTANTIATE

}  // namespace nexus::cpu
