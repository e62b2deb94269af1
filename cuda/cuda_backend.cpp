#include "cuda/cuda_backend.h"

#include <cuda_runtime_api.h>

#include "backend/shapes.h"
#include "core/units.h"
#include "cuda/cudnn_attention.h"
#include "cuda/devices.h"
#include "cuda/kernels.h"
#include "cuda/matmul.h"
#include "cuda/nccl_session.h"
#include "cuda/queue_of.h"

namespace nexus {

namespace {

// Checks shapes and types, picks the kernel or the library, nothing else.
class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const CudaOptions& options)
      : options_(options),
        queue_(options.device),
        matmul_(queue_, {options.deterministic, options.cache_folder}),
        cudnn_(queue_, options.deterministic) {}

  cuda::Queue& queue() { return queue_; }

  std::string name() const override { return "cuda"; }
  std::string description() const override {
    return fmt::format("cuda, {}, {}, {}, {}{}", cuda_devices().at(static_cast<size_t>(options_.device)).name,
                       matmul_.description(), cudnn_.description(), cuda::nccl_description(),
                       options_.deterministic ? ", deterministic" : "");
  }

  using Backend::allocate;
  Buffer allocate(int64_t size_bytes, const std::string& what) override;
  DeviceMemory memory() const override;
  void copy_in(const Tensor& device, const void* host) override {
    queue_.copy_in(device.data, host, device.size_bytes());
  }
  void copy_out(void* host, const Tensor& device) override { queue_.copy_out(host, device.data, device.size_bytes()); }
  void synchronize() override { queue_.wait(); }
  Mark mark() override;
  double seconds_between(const Mark& from, const Mark& to) override;

  void zero(const Tensor& x) override { cuda::zero(x, queue_); }
  void copy(const Tensor& from, const Tensor& to) override {
    shapes::check_copy(from, to);
    cuda::copy(from, to, queue_);
  }
  void add(const Tensor& x, const Tensor& y) override {
    shapes::check_add(x, y);
    cuda::add(x, y, queue_);
  }
  void add_sum(const Tensor& x, const Tensor& total) override {
    shapes::check_add_sum(x, total);
    cuda::add_sum(x, total, queue_);
  }
  void copy_matrix(const Mat& from, const Mat& to) override {
    shapes::check_copy_matrix(from, to);
    cuda::copy_matrix(from, to, queue_);
  }

  void matmul(const Mat& a, const Mat& b, const Mat& c, float beta) override {
    shapes::check_matmul(a, b, c, beta);
    require_supported(a.dtype);
    matmul_.run(a, b, c, beta);
  }

  void norm_gelu_forward(const NormGelu& op, const Tensor& h, const Tensor& a, const Tensor& row_scale) override {
    shapes::check_norm_gelu_forward(op, h, a, row_scale);
    require_supported(h.dtype);
    cuda::norm_gelu_forward(op, h, a, row_scale, queue_);
  }
  void norm_gelu_backward(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                          const Tensor& dh) override {
    shapes::check_norm_gelu_backward(op, da, h, row_scale, dh);
    require_supported(h.dtype);
    cuda::norm_gelu_backward(op, da, h, row_scale, dh, queue_);
  }
  void row_sum_squares(const Tensor& h, const Tensor& sums) override {
    shapes::check_row_sum_squares(h, sums);
    require_supported(h.dtype);
    cuda::row_sum_squares(h, sums, queue_);
  }
  void norm_gelu_forward_from(const NormGelu& op, const Tensor& h, const Tensor& sums, const Tensor& a,
                              const Tensor& row_scale) override {
    shapes::check_norm_gelu_forward_from(op, h, sums, a, row_scale);
    require_supported(h.dtype);
    cuda::norm_gelu_forward_from(op, h, sums, a, row_scale, queue_);
  }
  void norm_gelu_backward_sums(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                               const Tensor& sums) override {
    shapes::check_norm_gelu_backward_sums(op, da, h, row_scale, sums);
    require_supported(h.dtype);
    cuda::norm_gelu_backward_sums(op, da, h, row_scale, sums, queue_);
  }
  void norm_gelu_backward_from(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                               const Tensor& sums, const Tensor& dh) override {
    shapes::check_norm_gelu_backward_from(op, da, h, row_scale, sums, dh);
    require_supported(h.dtype);
    cuda::norm_gelu_backward_from(op, da, h, row_scale, sums, dh, queue_);
  }
  void gate_forward(GateKind gate, GeluKind gelu, const Tensor& h, const Tensor& a) override {
    shapes::check_gate(gate, h, a);
    require_supported(h.dtype);
    cuda::gate_forward(gate, gelu, h, a, queue_);
  }
  void gate_backward(GateKind gate, GeluKind gelu, const Tensor& da, const Tensor& h, const Tensor& dh) override {
    shapes::check_gate(gate, h, da);
    shapes::check_gate(gate, dh, da);
    require_supported(h.dtype);
    cuda::gate_backward(gate, gelu, da, h, dh, queue_);
  }

  void add_norm_forward(const RowNorm& op, const Tensor& x, const Tensor& delta, const Tensor& weight, const Tensor& y,
                        const Tensor& stats) override {
    shapes::check_add_norm_forward(x, delta, weight, y, stats);
    require_supported(x.dtype);
    cuda::add_norm_forward(op, x, delta, weight, y, stats, queue_);
  }
  void norm_backward(const RowNorm& op, const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& stats,
                     const Tensor& dx, const Tensor& dweight) override {
    shapes::check_norm_backward(dy, x, weight, stats, dx, dweight);
    require_supported(x.dtype);
    cuda::norm_backward(op, dy, x, weight, stats, dx, dweight, queue_);
  }

  void rope(const Rope& op, const Tensor& x, bool inverse) override {
    shapes::check_rope(op, x);
    require_supported(x.dtype);
    cuda::rope(op, x, inverse, queue_);
  }
  void attention_forward(const Attention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                         const Tensor& logsumexp) override {
    shapes::check_attention_forward(op, q, k, v, out, logsumexp);
    require_supported(q.dtype);
    if (aligned_for_cudnn({q, k, v, out}) && cudnn_.supports_forward(op, q.dtype))
      return cudnn_.forward(op, q, k, v, out, logsumexp);
    cuda::attention_forward(op, q, k, v, out, logsumexp, queue_);
  }
  void attention_backward(const Attention& op, const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                          const Tensor& out, const Tensor& logsumexp, const Tensor& scratch, const Tensor& dq,
                          const Tensor& dk, const Tensor& dv) override {
    shapes::check_attention_backward(op, dout, q, k, v, out, logsumexp, scratch, dq, dk, dv);
    require_supported(q.dtype);
    if (aligned_for_cudnn({dout, q, k, v, out, dq, dk, dv}) && cudnn_.supports_backward(op, q.dtype))
      return cudnn_.backward(op, dout, q, k, v, out, logsumexp, dq, dk, dv);
    cuda::attention_backward(op, dout, q, k, v, out, logsumexp, scratch, dq, dk, dv, queue_);
  }

  void embedding_forward(const Tensor& tokens, const Tensor& weight, int64_t first_token, const Tensor& out) override {
    shapes::check_embedding_forward(tokens, weight, first_token, out);
    require_supported(weight.dtype);
    cuda::embedding_forward(tokens, weight, first_token, out, queue_);
  }
  void embedding_backward(const Tensor& tokens, const Tensor& dout, int64_t first_token,
                          const Tensor& dweight) override {
    shapes::check_embedding_backward(tokens, dout, first_token, dweight);
    require_supported(dout.dtype);
    cuda::embedding_backward(tokens, dout, first_token, dweight, queue_);
  }
  void cross_entropy(const Tensor& logits, const Tensor& targets, const Tensor& losses, double grad_scale) override {
    shapes::check_cross_entropy(logits, targets, losses);
    require_supported(logits.dtype);
    cuda::cross_entropy(logits, targets, losses, static_cast<float>(grad_scale), queue_);
  }
  void cross_entropy_stats(const Tensor& logits, const Tensor& targets, int64_t first_token,
                           const Tensor& stats) override {
    shapes::check_cross_entropy_stats(logits, targets, first_token, stats);
    require_supported(logits.dtype);
    cuda::cross_entropy_stats(logits, targets, first_token, stats, queue_);
  }
  void cross_entropy_from(const Tensor& logits, const Tensor& targets, int64_t first_token, const Tensor& all_stats,
                          const Tensor& losses, double grad_scale) override {
    shapes::check_cross_entropy_from(logits, targets, first_token, all_stats, losses);
    require_supported(logits.dtype);
    cuda::cross_entropy_from(logits, targets, first_token, all_stats, losses, static_cast<float>(grad_scale), queue_);
  }

  void sum_squares(const Tensor& x, const std::vector<FlatRange>& ranges, const Tensor& out) override {
    shapes::check_sum_squares(x, ranges, out);
    require_supported(x.dtype);
    cuda::sum_squares(x, ranges, out, queue_);
  }
  void adamw(const AdamW& op, const std::vector<UpdateBlock>& blocks, const Tensor& grad_sum_squares,
             const Tensor& grad, const Tensor& moment1, const Tensor& moment2, const Tensor& master,
             const Tensor& compute, const Tensor& nonfinite) override {
    shapes::check_adamw(op, blocks, grad_sum_squares, grad, moment1, moment2, master, compute, nonfinite);
    require_supported(master.dtype);
    cuda::adamw(op, blocks, grad_sum_squares, grad, moment1, moment2, master, compute, nonfinite, queue_);
  }

 private:
  // Both passes may take different ways: they agree on logsumexp.
  static bool aligned_for_cudnn(std::initializer_list<Tensor> tensors) {
    for (const Tensor& tensor : tensors)
      if (reinterpret_cast<std::uintptr_t>(tensor.data) % cuda::CudnnAttention::kAlignment != 0) return false;
    return true;
  }
  static void require_supported(DType dtype) {
    if (dtype == DType::kF32 || dtype == DType::kBF16) return;
    throw Error(ErrorKind::kConfig, fmt::format("GPUs compute in f32 or bf16, not in {}", name_of(dtype)),
                "precision.compute", "set precision.compute to bf16 or f32, or use --device cpu");
  }
  std::string place() const {
    return fmt::format("GPU {} ({})", options_.device, cuda_devices().at(static_cast<size_t>(options_.device)).name);
  }

  CudaOptions options_;
  cuda::Queue queue_;
  cuda::Matmul matmul_;
  cuda::CudnnAttention cudnn_;
};

Buffer CudaBackend::allocate(int64_t size_bytes, const std::string& what) {
  if (size_bytes == 0) return Buffer(nullptr, 0, nullptr);
  void* data = nullptr;
  const cudaError_t code = cudaMalloc(&data, static_cast<size_t>(size_bytes));
  if (code == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // not sticky: the caller may ask for less
    const DeviceMemory now = memory();
    throw Error(ErrorKind::kConfig,
                fmt::format("{} of GPU memory for {} do not fit: {} of {} are free", format_bytes(size_bytes), what,
                            format_bytes(now.free_bytes), format_bytes(now.total_bytes)),
                place(), cuda::kMemoryCure);
  }
  NX_CUDA(code);
  return Buffer(data, size_bytes, [](void* memory) { cudaFree(memory); });
}

DeviceMemory CudaBackend::memory() const {
  size_t free = 0, total = 0;
  NX_CUDA(cudaMemGetInfo(&free, &total));
  return {static_cast<int64_t>(free), static_cast<int64_t>(total)};
}

Mark CudaBackend::mark() {
  const auto event = std::make_shared<cuda::Event>(true);
  event->record(queue_.stream());
  return {event, {}};
}

double CudaBackend::seconds_between(const Mark& from, const Mark& to) {
  const auto& begin = *static_cast<const cuda::Event*>(from.event.get());
  const auto& end = *static_cast<const cuda::Event*>(to.event.get());
  queue_.wait_for(end.get());
  float milliseconds = 0;
  NX_CUDA(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()));
  return static_cast<double>(milliseconds) * 1e-3;
}

}  // namespace

cuda::Queue& cuda::queue_of(Backend& backend) {
  auto* own = dynamic_cast<CudaBackend*>(&backend);
  NX_CHECK(own != nullptr, "{} is no CUDA back end", backend.name());
  return own->queue();
}

std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options) {
  const std::vector<CudaDevice> devices = cuda_devices();
  if (devices.empty())
    throw Error(ErrorKind::kConfig, "there is no GPU that this process can use: " + cuda_description(), "--device cuda",
                "start nexus where `nvidia-smi` shows a GPU (under Slurm: --gpus-per-task=1), or use --device cpu");
  if (options.device >= static_cast<int>(devices.size()))
    throw Error(ErrorKind::kConfig, fmt::format("GPU {} of {}", options.device, devices.size()), "--device cuda",
                "start one rank per GPU");
  return std::make_unique<CudaBackend>(options);
}

}  // namespace nexus
