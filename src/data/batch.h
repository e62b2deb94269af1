// What a sample consists of, and a number of samples side by side: named fields with types and extents.
//
// A data set says which fields it fills, a model which it reads (layers/input_layer.h, layers/output_layer.h); text has
// "tokens" and "targets", i32 [T] each. Nothing else in nexus knows a field's meaning.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace nexus {

struct BatchField {
  std::string name;
  DType dtype = DType::kF32;
  Shape extents;  // per sample; rank 0 is one number, at most Shape::kMaxRank - 1
  bool operator==(const BatchField&) const = default;
};
using BatchFields = std::vector<BatchField>;

// `fields`, and those of `more` that are not among them yet. The same name with another type or extents is a bug
// (ErrorKind::kInternal).
BatchFields joined(BatchFields fields, const BatchFields& more);

// "tokens i32 [64], targets i32 [64]".
std::string describe(const BatchFields& fields);

// Views of a batch's memory, field by field: field f is [samples, extents of f]. Copies view the same memory.
class Batch {
 public:
  using Allocate = std::function<Tensor(DType dtype, const Shape& shape)>;

  Batch() = default;
  // `allocate` is asked once for each field, in order: an arena's memory, or null pointers for a dry run.
  Batch(const BatchFields& fields, int64_t samples, const Allocate& allocate);

  int64_t samples() const { return samples_; }
  // The field of that name, [samples, extents]; that it is there is the caller's promise (ErrorKind::kInternal).
  const Tensor& at(const std::string& name) const;
  const std::vector<Tensor>& tensors() const { return tensors_; }  // in the order of the fields
  const BatchFields& fields() const { return fields_; }
  // Samples [begin, begin + count) of every field.
  Batch part(int64_t begin, int64_t count) const;

 private:
  BatchFields fields_;
  int64_t samples_ = 0;
  std::vector<Tensor> tensors_;
};

// Writes a sample to row `row` of every field of a batch, in host memory.
using FetchSample = std::function<void(int64_t sample, const Batch& batch, int64_t row)>;

// A batch in host memory of its own, to be filled by data sets.
class HostBatch {
 public:
  HostBatch(const BatchFields& fields, int64_t samples);
  const Batch& batch() const { return batch_; }

 private:
  std::vector<Buffer> memory_;
  Batch batch_;
};

}  // namespace nexus
