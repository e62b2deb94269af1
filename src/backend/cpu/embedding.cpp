#include <cstring>

#include "backend/cpu/device.h"
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

template <typename T>
void forward(const ops::EmbeddingForward& op) {
  check_tokens(op.tokens);
  const int64_t vocabulary = op.weight.shape[0], width = op.weight.shape[1];
  const int32_t* ids = op.tokens.as<int32_t>();
  const T* table = op.weight.as<T>();
  T* output = op.out.as<T>();
  parallel_for(op.tokens.count(), [&](int64_t i) {
    const int64_t token = ids[i] - op.first_token;
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
void backward(const ops::EmbeddingBackward& op) {
  check_tokens(op.tokens);
  const int64_t vocabulary = op.dweight.shape[0], width = op.dweight.shape[1];
  const int32_t* ids = op.tokens.as<int32_t>();
  const T* gradient = op.dout.as<T>();
  Wide<T>* table = op.dweight.as<Wide<T>>();
  parallel_chunks(width, kColumns, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < op.tokens.count(); ++i) {
      const int64_t token = ids[i] - op.first_token;
      if (token < 0 || token >= vocabulary) continue;
      const T* from = gradient + i * width;
      Wide<T>* to = table + token * width;
#pragma omp simd
      for (int64_t j = begin; j < end; ++j) to[j] += Wide<T>(from[j]);
    }
  });
}

}  // namespace

template <>
void compute(const ops::EmbeddingForward& op, Device&) {
  with_scalar(op.weight.dtype, [&]<typename T>() { forward<T>(op); });
}

template <>
void compute(const ops::EmbeddingBackward& op, Device&) {
  with_scalar(op.dout.dtype, [&]<typename T>() { backward<T>(op); });
}

}  // namespace nexus::cpu
