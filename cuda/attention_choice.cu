// Which way a GPU attends: cuDNN where it takes the call, else our own kernels.
#include "cuda/attention_tiles.cuh"
#include "cuda/device.h"

namespace nexus::cuda {

namespace {

using namespace attention;

constexpr int kClearThreads = 128;

// A block clears `width` elements of the row of one token, if the token does not exist.
template <typename T>
__global__ void __launch_bounds__(kClearThreads) clear_kernel(T* x, int64_t ld, int64_t width, Samples samples) {
  const int64_t token = blockIdx.x;
  if (token % samples.context < samples.tokens(static_cast<int>(token / samples.context))) return;
  for (int64_t i = threadIdx.x; i < width; i += kClearThreads) store(x[token * ld + i], 0.0f);
}

// cuDNN's versions differ in what they leave in the rows of padding: zeros are promised.
void clear_padding(const Attention& op, const Tensor& lengths, const Tensor& x, int64_t heads, int64_t ld,
                   Queue& queue) {
  if (!lengths.defined()) return;
  NX_CHECK(op.tokens() < (int64_t{1} << 31), "{} tokens", op.tokens());
  with_element(x.dtype, [&]<typename T>() {
    clear_kernel<<<static_cast<unsigned>(op.tokens()), kClearThreads, 0, queue.stream()>>>(
        static_cast<T*>(x.data), ld, heads * op.head_dim, samples_of(op, lengths));
  });
  NX_CUDA(cudaGetLastError());
}

}  // namespace

template <>
void compute(const ops::AttentionForward& op, Device& device) {
  if (!device.cudnn.takes(op)) return own_attention(op, device.queue);
  device.cudnn.run(op);
  const Attention& of = op.options;
  clear_padding(of, op.lengths, op.out, of.heads, of.heads * of.head_dim, device.queue);
}

template <>
void compute(const ops::AttentionBackward& op, Device& device) {
  if (!device.cudnn.takes(op)) return own_attention(op, device.queue);
  device.cudnn.run(op);
  const Attention& of = op.options;
  clear_padding(of, op.lengths, op.dq, of.heads, of.ld, device.queue);
  for (const Tensor* gradient : {&op.dk, &op.dv})
    clear_padding(of, op.lengths, *gradient, of.kv_heads, of.ld, device.queue);
}

}  // namespace nexus::cuda
