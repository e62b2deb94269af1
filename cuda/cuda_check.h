// Return codes of CUDA and its libraries as errors of nexus, and the owners of streams, events and memory.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <utility>

#include "core/error.h"
#include "tensor/dtype.h"

namespace nexus::cuda {

// What a user can do where the memory of a GPU is too small.
inline constexpr const char* kMemoryCure =
    "lower batch.micro, set precision.recompute to activations, or use more GPUs";

// Throws ErrorKind::kConfig for types that our kernels and libraries do not compute in.
inline void require_compute_type(DType dtype) {
  if (dtype == DType::kF32 || dtype == DType::kBF16) return;
  throw Error(ErrorKind::kConfig, fmt::format("GPUs compute in f32 or bf16, not in {}", name_of(dtype)),
              "precision.compute", "set precision.compute to bf16 or f32, or use --device cpu");
}

// Throws ErrorKind::kDevice, or kConfig where memory is short: "OPERATION: TEXT (NAME); device; CURE". After an illegal
// access every later call fails, too: the first error is the one that counts.
[[noreturn]] void throw_cuda_error(cudaError_t code, const char* operation);

// A launch reports its errors here; call it after every kernel launch: NX_CUDA(cudaGetLastError()).
#define NX_CUDA(call)                                                            \
  do {                                                                           \
    if (const cudaError_t nx_code = (call); nx_code != cudaSuccess) [[unlikely]] \
      ::nexus::cuda::throw_cuda_error(nx_code, #call);                           \
  } while (false)

// Move-only owners. A destructor ignores errors: a device that failed has said so before.
class Stream {
 public:
  Stream() { NX_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() {
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }
  Stream(Stream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
  Stream& operator=(Stream&& other) noexcept {
    std::swap(stream_, other.stream_);
    return *this;
  }
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  explicit Event(bool timed = false) {
    NX_CUDA(cudaEventCreateWithFlags(&event_, timed ? cudaEventDefault : cudaEventDisableTiming));
  }
  ~Event() {
    if (event_ != nullptr) cudaEventDestroy(event_);
  }
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&& other) noexcept {
    std::swap(event_, other.event_);
    return *this;
  }
  cudaEvent_t get() const { return event_; }
  void record(cudaStream_t stream) { NX_CUDA(cudaEventRecord(event_, stream)); }

 private:
  cudaEvent_t event_ = nullptr;
};

class DeviceMemoryBlock {
 public:
  DeviceMemoryBlock() = default;
  explicit DeviceMemoryBlock(int64_t size_bytes) { NX_CUDA(allocate(size_bytes)); }
  ~DeviceMemoryBlock() { release(); }
  DeviceMemoryBlock(DeviceMemoryBlock&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  DeviceMemoryBlock& operator=(DeviceMemoryBlock&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  // For those who have an answer to a lack of memory. Gives back what it held first; empty after an error.
  cudaError_t allocate(int64_t size_bytes) {
    release();
    const cudaError_t code = cudaMalloc(&data_, static_cast<size_t>(size_bytes));
    if (code != cudaSuccess) data_ = nullptr;
    return code;
  }
  void release() {
    if (data_ != nullptr) cudaFree(std::exchange(data_, nullptr));
  }
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

// Pinned host memory; `flags` are those of cudaHostAlloc.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  explicit PinnedMemory(int64_t size_bytes, unsigned flags = cudaHostAllocDefault) {
    NX_CUDA(cudaHostAlloc(&data_, static_cast<size_t>(size_bytes), flags));
  }
  ~PinnedMemory() {
    if (data_ != nullptr) cudaFreeHost(data_);
  }
  PinnedMemory(PinnedMemory&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  PinnedMemory& operator=(PinnedMemory&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

}  // namespace nexus::cuda
