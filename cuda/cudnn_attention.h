// Attention by cuDNN's scaled-dot-product attention, forward and backward, in bf16.
//
// A graph is built once per shape and direction, when first asked for, and kept. Where cuDNN is not in the build or has
// no engine for a shape, the answer is no and the caller takes our own (cuda/attention_choice.cu). Failures of the
// device are errors.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "backend/ops/attention.h"
#include "core/library_version.h"
#include "cuda/queue.h"

namespace nexus::cuda {

class CudnnAttention {
 public:
  static constexpr int kAlignment = 16;  // bytes, of every tensor; `supports_...` do not see them

  // `deterministic` asks for a backward pass without atomic adds, which needs more workspace and time.
  CudnnAttention(Queue& queue, bool deterministic);
  ~CudnnAttention();

  // Builds the graph if need be. `dtype` is that of q. Throws ErrorKind::kConfig where memory is short, else kDevice.
  bool supports_forward(const Attention& op, DType dtype, bool with_lengths = false);
  bool supports_backward(const Attention& op, DType dtype, bool with_lengths = false);
  // Supported, and every tensor on a boundary. Passes may take different ways: they agree on logsumexp.
  bool takes(const ops::AttentionForward& op) {
    return on_boundaries({op.q, op.k, op.v, op.out}) && supports_forward(op.options, op.q.dtype, op.lengths.defined());
  }
  bool takes(const ops::AttentionBackward& op) {
    return on_boundaries({op.dout, op.q, op.k, op.v, op.out, op.dq, op.dk, op.dv}) &&
           supports_backward(op.options, op.q.dtype, op.lengths.defined());
  }
  // Rows of tokens that do not exist, by lengths, are left undefined.
  void run(const ops::AttentionForward& op);
  void run(const ops::AttentionBackward& op);
  std::string description() const;  // "cuDNN 9.14.0", or why there is none

 private:
  static bool on_boundaries(std::initializer_list<Tensor> tensors) {
    for (const Tensor& tensor : tensors)
      if (reinterpret_cast<std::uintptr_t>(tensor.data) % kAlignment != 0) return false;
    return true;
  }

  class Impl;
  std::unique_ptr<Impl> impl_;
};

std::vector<LibraryVersion> cudnn_libraries();  // none where it is not in this build

}  // namespace nexus::cuda
