// Work sharing of CPU kernels. Which thread does what is fixed by the thread count; results never depend on it, because
// every task writes its own outputs and sums are taken over fixed chunks.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tensor/tensor.h"

namespace nexus::cpu {

// body(i) for 0 <= i < count, in contiguous shares per thread.
template <typename Body>
void parallel_for(int64_t count, const Body& body) {
#pragma omp parallel for schedule(static) if (count > 1)
  for (int64_t i = 0; i < count; ++i) body(i);
}

// body(begin, end) over chunks of `chunk` elements of [0, count).
template <typename Body>
void parallel_chunks(int64_t count, int64_t chunk, const Body& body) {
  parallel_for((count + chunk - 1) / chunk, [&](int64_t i) { body(i * chunk, std::min(count, (i + 1) * chunk)); });
}

// Chunks of elementwise kernels: 64 KiB of f32 keeps a chunk in the L2 cache and the overhead of sharing small.
constexpr int64_t kElementChunk = 16384;

// Calls body.template operator()<T>() with T the scalar that `dtype` stores.
template <typename Body>
void with_scalar(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::kF32: return body.template operator()<float>();
    case DType::kBF16: return body.template operator()<Bf16>();
    case DType::kF64: return body.template operator()<double>();
    case DType::kI32: break;
  }
  NX_CHECK(false, "{} does not compute", name_of(dtype));
}

// Scratch memory of the calling thread: grows, is kept for the next call, and is freed with the thread.
template <typename C>
C* thread_scratch(int64_t count) {
  thread_local Buffer buffer;
  const int64_t bytes = count * static_cast<int64_t>(sizeof(C));
  if (buffer.size_bytes() < bytes) buffer = host_buffer(bytes);
  return static_cast<C*>(buffer.data());
}

}  // namespace nexus::cpu
