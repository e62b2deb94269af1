#include "tensor/tensor.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace nexus {

Shape::Shape(std::initializer_list<int64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}

Shape::Shape(std::span<const int64_t> extents) : rank_(static_cast<int>(extents.size())) {
  NX_CHECK(rank_ <= kMaxRank, "rank {}", rank_);
  std::copy(extents.begin(), extents.end(), extents_.begin());
}

int64_t Shape::count() const {
  int64_t product = 1;
  for (int axis = 0; axis < rank_; ++axis) product *= (*this)[axis];
  return product;
}

bool Shape::operator==(const Shape& other) const {
  return rank_ == other.rank_ && extents_ == other.extents_;
}

std::string Shape::str() const {
  return fmt::format("{}", std::span(extents_.data(), static_cast<size_t>(rank_)));
}

Tensor Tensor::reshaped(Shape other) const {
  NX_CHECK(other.count() == count(), "{} as {}", shape.str(), other.str());
  return {data, dtype, other};
}

Tensor Tensor::rows(int64_t begin, int64_t extent) const {
  NX_CHECK(shape.rank() >= 1 && begin >= 0 && extent >= 0 && begin + extent <= shape[0], "rows {}+{} of {}", begin,
           extent, shape.str());
  Tensor view = *this;
  view.shape[0] = extent;
  const int64_t row_bytes = shape[0] == 0 ? 0 : size_bytes() / shape[0];
  if (data) view.data = static_cast<char*>(data) + begin * row_bytes;
  return view;
}

Tensor Tensor::flat(int64_t begin, int64_t extent) const {
  return Tensor{data, dtype, {count()}}.rows(begin, extent);
}

Buffer::Buffer(void* data, int64_t size_bytes, Deleter deleter)
    : data_(data), size_bytes_(size_bytes), deleter_(std::move(deleter)) {}

Buffer::~Buffer() {
  if (data_ && deleter_) deleter_(data_);
}

Buffer::Buffer(Buffer&& other) noexcept {
  *this = std::move(other);
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  std::swap(deleter_, other.deleter_);
  return *this;
}

Tensor Buffer::tensor(DType dtype, Shape shape, int64_t offset_bytes) const {
  const Tensor view{data_ ? static_cast<char*>(data_) + offset_bytes : nullptr, dtype, shape};
  NX_CHECK(offset_bytes >= 0 && offset_bytes + view.size_bytes() <= size_bytes_, "{} of {} in {} bytes", name_of(dtype),
           shape.str(), size_bytes_);
  return view;
}

Buffer host_buffer(int64_t size_bytes) {
  const size_t rounded = (static_cast<size_t>(std::max<int64_t>(size_bytes, 1)) + 63) / 64 * 64;
  void* data = std::aligned_alloc(64, rounded);
  if (data == nullptr)
    throw Error(ErrorKind::kConfig, fmt::format("cannot allocate {} bytes of host memory", size_bytes), "",
                "use a smaller batch.micro, or more ranks");
  return Buffer(data, size_bytes, [](void* p) { std::free(p); });
}

}  // namespace nexus
