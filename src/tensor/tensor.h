// Tensor: a non-owning, contiguous, row-major view of device or host memory. Copying a Tensor copies the view.
// Buffer: the move-only owner of such memory. Owners are made by a back end, so that both know the same device.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>

#include "core/error.h"
#include "tensor/dtype.h"

namespace nexus {

// Up to four extents, outermost first.
class Shape {
 public:
  static constexpr int kMaxRank = 4;
  Shape() = default;
  Shape(std::initializer_list<int64_t> extents);
  explicit Shape(std::span<const int64_t> extents);
  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return extents_[static_cast<size_t>(axis)]; }
  int64_t& operator[](int axis) { return extents_[static_cast<size_t>(axis)]; }
  int64_t count() const;  // 1 for rank 0
  bool operator==(const Shape& other) const;
  std::string str() const;  // "[3, 256, 192]"

 private:
  std::array<int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

struct Tensor {
  void* data = nullptr;  // null in a dry run: shapes and sizes without memory
  DType dtype = DType::kF32;
  Shape shape;

  int64_t count() const { return shape.count(); }
  int64_t size_bytes() const { return count() * size_of(dtype); }
  bool defined() const { return shape.rank() > 0; }

  // The same memory under another shape of equal count.
  Tensor reshaped(Shape other) const;
  // Elements [begin, begin + extent) of the outermost axis.
  Tensor rows(int64_t begin, int64_t extent) const;
  // Flat elements [begin, begin + extent) as a rank-1 tensor.
  Tensor flat(int64_t begin, int64_t extent) const;

  template <typename T>
  T* as() const {
    NX_CHECK(dtype == DTypeOf<T>::value, "tensor holds {}", name_of(dtype));
    return static_cast<T*>(data);
  }
};

class Buffer {
 public:
  using Deleter = std::function<void(void*)>;
  Buffer() = default;
  Buffer(void* data, int64_t size_bytes, Deleter deleter);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void* data() const { return data_; }
  int64_t size_bytes() const { return size_bytes_; }
  // The first elements as a tensor; checks that they fit.
  Tensor tensor(DType dtype, Shape shape, int64_t offset_bytes = 0) const;

 private:
  void* data_ = nullptr;
  int64_t size_bytes_ = 0;
  Deleter deleter_;
};

// 64-byte aligned host memory.
Buffer host_buffer(int64_t size_bytes);

}  // namespace nexus
