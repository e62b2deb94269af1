#include <omp.h>

#include <cstring>

#include "backend/cpu/device.h"

namespace nexus {

namespace {

class CpuBackend final : public Backend {
 public:
  // The thread count is OpenMP's own, for the calling thread: oneDNN and OpenBLAS follow it.
  explicit CpuBackend(int threads) {
    if (threads > 0) omp_set_num_threads(threads);
  }

  std::string name() const override { return "cpu"; }
  std::string description() const override {
    return fmt::format("cpu, {} threads, {}", omp_get_max_threads(), device_.matmul.description());
  }

  Buffer allocate(int64_t size_bytes, const std::string&) override { return host_buffer(size_bytes); }
  void synchronize() override {}

  void do_run(size_t index, const void* op) override { kKernels[index](op, device_); }
  void do_copy_in(const Tensor& device, const void* host) override {
    std::memcpy(device.data, host, static_cast<size_t>(device.size_bytes()));
  }
  void do_copy_out(void* host, const Tensor& device) override {
    std::memcpy(host, device.data, static_cast<size_t>(device.size_bytes()));
  }

 private:
  static constexpr auto kKernels = kernel_table<cpu::Device>(ops::All{});

  cpu::Device device_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(int threads) {
  return std::make_unique<CpuBackend>(threads);
}

}  // namespace nexus
