// Causal attention by cuDNN's scaled-dot-product attention, forward and backward, in bf16.
//
// A graph is built once per shape and direction, when first asked for, and kept. Where cuDNN is not in the build or has
// no engine for a shape, the answer is no and the caller takes cuda/attention.cu. Failures of the device are errors.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
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
  bool supports_forward(const Attention& op, DType dtype);
  bool supports_backward(const Attention& op, DType dtype);
  // Backend::attention_forward and attention_backward, for supported shapes.
  void forward(const Attention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
               const Tensor& logsumexp);
  void backward(const Attention& op, const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                const Tensor& out, const Tensor& logsumexp, const Tensor& dq, const Tensor& dk, const Tensor& dv);
  std::string description() const;  // "cuDNN 9.14.0", or why there is none

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

std::vector<LibraryVersion> cudnn_libraries();  // none where it is not in this build

}  // namespace nexus::cuda
