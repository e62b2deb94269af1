// Return codes of CUDA and its libraries as errors of nexus, and the owners of streams and events.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <utility>

#include "core/error.h"

namespace nexus::cuda {

// Throws ErrorKind::kDevice: "OPERATION: TEXT (NAME); device; CURE". After an illegal access every later call fails,
// too: the first error is the one that counts.
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

}  // namespace nexus::cuda
