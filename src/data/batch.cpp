#include "data/batch.h"

#include <algorithm>

namespace nexus {
namespace {

// [samples, extents...]
Shape batched(int64_t samples, const Shape& extents) {
  std::vector<int64_t> shape{samples};
  for (int axis = 0; axis < extents.rank(); ++axis) shape.push_back(extents[axis]);
  return Shape(shape);
}

}  // namespace

BatchFields joined(BatchFields fields, const BatchFields& more) {
  for (const BatchField& field : more) {
    const auto found =
        std::find_if(fields.begin(), fields.end(), [&](const BatchField& each) { return each.name == field.name; });
    if (found == fields.end())
      fields.push_back(field);
    else
      NX_CHECK(*found == field, "field {} is both {} and {}", field.name, describe({*found}), describe({field}));
  }
  return fields;
}

std::string describe(const BatchFields& fields) {
  std::string text;
  for (const BatchField& field : fields)
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", field.name, name_of(field.dtype), field.extents.str());
  return text;
}

Batch::Batch(const BatchFields& fields, int64_t samples, const Allocate& allocate)
    : fields_(fields), samples_(samples) {
  for (const BatchField& field : fields_) tensors_.push_back(allocate(field.dtype, batched(samples, field.extents)));
}

const Tensor& Batch::at(const std::string& name) const {
  for (size_t i = 0; i < fields_.size(); ++i)
    if (fields_[i].name == name) return tensors_[i];
  NX_CHECK(false, "the batch has no field {}, but {}", name, describe(fields_));
}

Batch Batch::part(int64_t begin, int64_t count) const {
  Batch part = *this;
  part.samples_ = count;
  for (Tensor& tensor : part.tensors_) tensor = tensor.rows(begin, count);
  return part;
}

HostBatch::HostBatch(const BatchFields& fields, int64_t samples)
    : batch_(fields, samples, [this](DType dtype, const Shape& shape) {
        memory_.push_back(host_buffer(shape.count() * size_of(dtype)));
        return memory_.back().tensor(dtype, shape);
      }) {}

}  // namespace nexus
