// A build without cuDNN: the answer is always no, and our own kernels attend.
#include "cuda/cudnn_attention.h"

namespace nexus::cuda {

class CudnnAttention::Impl {};

CudnnAttention::CudnnAttention(Queue&, bool) {}
CudnnAttention::~CudnnAttention() = default;

bool CudnnAttention::supports_forward(const Attention&, DType, bool) {
  return false;
}

bool CudnnAttention::supports_backward(const Attention&, DType, bool) {
  return false;
}

void CudnnAttention::run(const ops::AttentionForward&) {
  NX_CHECK(false, "cuDNN is not in this build");
}

void CudnnAttention::run(const ops::AttentionBackward&) {
  NX_CHECK(false, "cuDNN is not in this build");
}

std::string CudnnAttention::description() const {
  return "no cuDNN in this build";
}

std::vector<LibraryVersion> cudnn_libraries() {
  return {};
}

}  // namespace nexus::cuda
