// Arena: a bump allocator for everything that lives within one micro-batch (activations, gradients of activations,
// scratch).
//
// A step allocates in the same order every time, so addresses repeat, nothing is allocated from the system inside a
// step, and the high-water mark is exact. A counting arena hands out null tensors and only counts: running a model once
// on the dry back end with a counting arena is how `nexus plan` and the trainer learn the bytes a micro-batch needs.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace nexus {

class Arena {
 public:
  static constexpr int64_t kAlignment = 256;

  Arena() = default;  // counting: unlimited, null tensors
  explicit Arena(Buffer buffer) : buffer_(std::move(buffer)), counting_(false) {}

  // Uninitialised memory, valid until the enclosing Frame ends. Throws ErrorKind::kInternal when the arena is full,
  // since its size comes from a dry run of the same code.
  Tensor alloc(DType dtype, Shape shape);

  int64_t used_bytes() const { return used_bytes_; }
  int64_t peak_bytes() const { return peak_bytes_; }
  int64_t capacity_bytes() const { return buffer_.size_bytes(); }
  bool counting() const { return counting_; }

  // Scope of temporaries: on destruction everything allocated since is free again.
  class Frame {
   public:
    explicit Frame(Arena& arena) : arena_(arena), mark_(arena.used_bytes_) {}
    ~Frame() { arena_.used_bytes_ = mark_; }
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;

   private:
    Arena& arena_;
    int64_t mark_;
  };

 private:
  Buffer buffer_;
  bool counting_ = true;
  int64_t used_bytes_ = 0, peak_bytes_ = 0;
};

}  // namespace nexus
