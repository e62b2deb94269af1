// What CUDA kernels share, and how one is found: `compute` of an operation of backend/ops/ is specialised in the kernel
// file of its family. Operands have been checked; compute types are f32 and bf16, statistics and parameter gradients
// f32. Calls launch and return.
//
// One family per .cu: kernel, launcher, entry points. Results are deterministic: no atomics on floating-point values.
#pragma once

#include "backend/backend.h"
#include "cuda/cudnn_attention.h"
#include "cuda/matmul.h"
#include "cuda/queue.h"

namespace nexus::cuda {

struct Device {
  Device(int index, const MatmulOptions& options)
      : queue(index), matmul(queue, options), cudnn(queue, options.deterministic) {}

  Queue queue;
  Matmul matmul;
  CudnnAttention cudnn;
};

template <typename Op>
void compute(const Op& op, Device& device);

// What cuDNN cannot do (f32, odd head sizes), and its checked fallback.
void own_attention(const ops::AttentionForward& op, Queue& queue);
void own_attention(const ops::AttentionBackward& op, Queue& queue);

}  // namespace nexus::cuda
