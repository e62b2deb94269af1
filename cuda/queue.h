// Queue: the compute stream of one GPU, the scratch memory that kernels launched on it share, and the way of host bytes
// to and from the device. A part of `Device` (cuda/device.h).
//
// One thread uses a queue. Everything is in stream order: scratch and uploads may be used again as soon as the next
// launch is made, because that launch runs after the former one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cuda/cuda_check.h"

namespace nexus::cuda {

class Queue {
 public:
  // Takes the device for this thread. Throws ErrorKind::kDevice where it cannot be used.
  explicit Queue(int device);
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  int device() const { return device_; }
  cudaStream_t stream() const { return stream_.get(); }
  int multiprocessors() const { return multiprocessors_; }

  // Device memory for the launches until the next call of `scratch`; 256-byte aligned. It grows and stays, so only the
  // first steps allocate (which waits for the device).
  void* scratch(int64_t size_bytes);
  template <typename T>
  T* scratch_of(int64_t count) {
    return static_cast<T*>(scratch(count * static_cast<int64_t>(sizeof(T))));
  }
  // A device copy of some host bytes (at most kUploadBytes: operation tables), for the launches until the next call.
  const void* upload(const void* host, int64_t size_bytes);
  template <typename T>
  const T* upload_vector(const std::vector<T>& values) {
    return static_cast<const T*>(upload(values.data(), static_cast<int64_t>(values.size() * sizeof(T))));
  }

  // Host memory may be reused on return.
  void copy_in(void* device, const void* host, int64_t size_bytes);
  // Waits.
  void copy_out(void* host, const void* device, int64_t size_bytes);
  void wait();                       // for everything launched
  void wait_for(cudaEvent_t event);  // on the host, giving `on_wait` its turns
  // Called every few milliseconds while the host waits; may throw. The communicator looks for failures of NCCL here.
  void set_on_wait(std::function<void()> on_wait) { on_wait_ = std::move(on_wait); }

  static constexpr int64_t kUploadBytes = int64_t{1} << 20;

 private:
  // Pinned host memory, in slots that are free again when their event is reached.
  struct Slot {
    explicit Slot(int64_t size_bytes) : memory(size_bytes) {}
    char* host() const { return static_cast<char*>(memory.data()); }
    PinnedMemory memory;
    Event free;
  };
  Slot& next_slot();

  int device_;
  int multiprocessors_ = 0;
  Stream stream_;
  DeviceMemoryBlock scratch_;
  int64_t scratch_bytes_ = 0;
  DeviceMemoryBlock uploads_;
  std::vector<Slot> slots_;
  size_t next_ = 0;
  std::function<void()> on_wait_;
};

}  // namespace nexus::cuda
