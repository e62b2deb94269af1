#include <cstring>

#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/scalar.h"

namespace nexus::cpu {

namespace {

// Columns of one backward task: one cache line of gradients.
constexpr int64_t kColumns = 64;

// Only the sign can be checked: a token above the slice may be another rank's.
void check_tokens(const Tensor& tokens) {
  const int32_t* ids = tokens.as<int32_t>();
  for (int64_t i = 0; i < tokens.count(); ++i) NX_CHECK(ids[i] >= 0, "token {} is {}", i, ids[i]);
}

}  // namespace

template <typename T>
void embedding_forward(const Tensor& tokens, const Tensor& weight, int64_t first_token, const Tensor& out) {
  check_tokens(tokens);
  const int64_t vocabulary = weight.shape[0], width = weight.shape[1];
  const int32_t* ids = tokens.as<int32_t>();
  const T* table = weight.as<T>();
  T* output = out.as<T>();
  parallel_for(tokens.count(), [&](int64_t i) {
    const int64_t token = ids[i] - first_token;
    const size_t bytes = static_cast<size_t>(width) * sizeof(T);
    if (token >= 0 && token < vocabulary)
      std::memcpy(output + i * width, table + token * width, bytes);
    else
      std::memset(static_cast<void*>(output + i * width), 0, bytes);
  });
}

// Every task owns a slice of columns and walks all tokens in order: no two tasks write the same element, and the order
// of the sum does not depend on the threads.
template <typename T>
void embedding_backward(const Tensor& tokens, const Tensor& dout, int64_t first_token, const Tensor& dweight) {
  check_tokens(tokens);
  const int64_t vocabulary = dweight.shape[0], width = dweight.shape[1];
  const int32_t* ids = tokens.as<int32_t>();
  const T* gradient = dout.as<T>();
  Wide<T>* table = dweight.as<Wide<T>>();
  parallel_chunks(width, kColumns, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < tokens.count(); ++i) {
      const int64_t token = ids[i] - first_token;
      if (token < 0 || token >= vocabulary) continue;
      const T* from = gradient + i * width;
      Wide<T>* to = table + token * width;
#pragma omp simd
      for (int64_t j = begin; j < end; ++j) to[j] += Wide<T>(from[j]);
    }
  });
}

#define NX_INSTANTIATE(T)                                                                   \
  template void embedding_forward<T>(const Tensor&, const Tensor&, int64_t, const Tensor&); \
  template void embedding_backward<T>(const Tensor&, const Tensor&, int64_t, const Tensor&);
NX_INSTANTIATE(float)
NX_INSTANTIATE(Bf16)
NX_INSTANTIATE(double)
#undef NX_INSTANTIATE

}  // namespace nexus::cpu
