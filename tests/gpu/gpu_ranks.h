// What programs on several ranks with a GPU each share: the device of a rank, and tensors in its memory.
#pragma once

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "cuda/cuda_backend.h"
#include "cuda/devices.h"

namespace nexus::gpu {

constexpr int kSkipped = 77;  // SKIP_RETURN_CODE

// Whether this host has a GPU for each rank; says so if not.
inline bool enough_devices(Communicator& world) {
  const auto devices = static_cast<int>(cuda_devices().size());
  if (devices >= world.size()) return true;
  if (world.rank() == 0) std::printf("skipped: %d ranks, %s\n", world.size(), cuda_description().c_str());
  return false;
}

inline std::unique_ptr<Backend> backend_of(int rank) {
  CudaOptions options;
  options.device = rank;
  return make_cuda_backend(options);
}

// An owning tensor on the device.
template <typename T>
class Held {
 public:
  Held(Backend& backend, const std::vector<T>& values)
      : backend_(backend),
        buffer_(backend.allocate(std::max<int64_t>(16, static_cast<int64_t>(values.size() * sizeof(T))))),
        tensor_(buffer_.tensor(DTypeOf<T>::value, {static_cast<int64_t>(values.size())})) {
    set(values);
  }
  const Tensor& tensor() const { return tensor_; }
  operator const Tensor&() const { return tensor_; }  // NOLINT(google-explicit-constructor): used as what it owns
  Tensor part(int64_t index, int64_t count) const { return tensor_.flat(index * count, count); }
  void set(const std::vector<T>& values) {
    if (!values.empty()) backend_.copy_in(tensor_, values.data());
  }
  std::vector<T> values() const {
    std::vector<T> values(static_cast<size_t>(tensor_.count()));
    if (!values.empty()) backend_.copy_out(values.data(), tensor_);
    return values;
  }

 private:
  Backend& backend_;
  Buffer buffer_;
  Tensor tensor_;
};

}  // namespace nexus::gpu
