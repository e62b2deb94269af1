#include "cuda/cuda_backend.h"

#include <cuda_runtime_api.h>

#include "core/units.h"
#include "cuda/device.h"
#include "cuda/devices.h"
#include "cuda/nccl_session.h"
#include "cuda/queue_of.h"

namespace nexus {

namespace {

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const CudaOptions& options)
      : options_(options), device_(options.device, {options.deterministic, options.cache_folder}) {}

  cuda::Queue& queue() { return device_.queue; }

  std::string name() const override { return "cuda"; }
  std::string description() const override {
    return fmt::format("cuda, {}, {}, {}, {}{}", cuda_devices().at(static_cast<size_t>(options_.device)).name,
                       device_.matmul.description(), device_.cudnn.description(), cuda::nccl_description(),
                       options_.deterministic ? ", deterministic" : "");
  }

  using Backend::allocate;
  Buffer allocate(int64_t size_bytes, const std::string& what) override;
  DeviceMemory memory() const override;
  void synchronize() override { queue().wait(); }
  Mark mark() override;
  double seconds_between(const Mark& from, const Mark& to) override;

  void do_run(size_t index, const void* op) override { kKernels[index](op, device_); }
  void do_copy_in(const Tensor& device, const void* host) override {
    queue().copy_in(device.data, host, device.size_bytes());
  }
  void do_copy_out(void* host, const Tensor& device) override {
    queue().copy_out(host, device.data, device.size_bytes());
  }

 private:
  static constexpr auto kKernels = kernel_table<cuda::Device>(ops::All{});

  std::string place() const {
    return fmt::format("GPU {} ({})", options_.device, cuda_devices().at(static_cast<size_t>(options_.device)).name);
  }

  CudaOptions options_;
  cuda::Device device_;
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
  event->record(queue().stream());
  return {event, {}};
}

double CudaBackend::seconds_between(const Mark& from, const Mark& to) {
  const auto& begin = *static_cast<const cuda::Event*>(from.event.get());
  const auto& end = *static_cast<const cuda::Event*>(to.event.get());
  queue().wait_for(end.get());
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
