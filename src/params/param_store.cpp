#include "params/param_store.h"

#include "core/rng.h"

namespace nexus {
namespace {

// Draws one tensor in the host type T; the value of an element depends on (seed, name, logical index) only.
template <typename T>
void draw(const ParamSpec& spec, uint64_t seed, T* out) {
  const int64_t count = spec.count();
  if (spec.init == Init::kOnes) {
    std::fill(out, out + count, T(1));
    return;
  }
  const RandomStream stream(seed, spec.name);
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<T>(spec.init_std * stream.normal(static_cast<uint64_t>(i)));
}

}  // namespace

ParamStore::ParamStore(Backend& backend, const ParamTable& table, DType compute, Use use)
    : backend_(&backend), table_(&table), compute_dtype_(compute) {
  const DType wide = wide_of(compute);
  auto make = [&](DType dtype) {
    buffers_.push_back(backend.allocate(table.count() * size_of(dtype)));
    size_bytes_ += buffers_.back().size_bytes();
    return buffers_.back().tensor(dtype, {table.count()});
  };
  master_ = make(wide);
  compute_ = compute == wide ? master_ : make(compute);
  if (use == Use::kInference) return;
  grad_ = make(wide);
  moment1_ = make(wide);
  moment2_ = make(wide);
  backend.zero(moment1_);
  backend.zero(moment2_);
}

int64_t ParamStore::bytes_for(const ParamTable& table, DType compute, Use use) {
  const int64_t wide = size_of(wide_of(compute));
  const int64_t copy = compute == wide_of(compute) ? 0 : size_of(compute);
  return table.count() * (wide * (use == Use::kTraining ? 4 : 1) + copy);
}

Tensor ParamStore::view(const Tensor& flat, int index) const {
  const ParamSpec& spec = (*table_)[index];
  return flat.flat(spec.offset, spec.count()).reshaped(spec.shape());
}

Tensor ParamStore::stacked(const Tensor& flat, int index, int count) const {
  const ParamSpec& first = (*table_)[index];
  int64_t rows = 0;
  for (int i = index; i < index + count; ++i) {
    const Shape shape = (*table_)[i].shape();
    NX_CHECK(shape.rank() == 2 && shape[1] == first.shape()[1], "{} does not stack on {}", (*table_)[i].name,
             first.name);
    rows += shape[0];
  }
  return flat.flat(first.offset, rows * first.shape()[1]).reshaped({rows, first.shape()[1]});
}

void ParamStore::initialize(uint64_t seed) {
  const int64_t element = size_of(wide_dtype());
  for (const ParamSpec& spec : *table_) {
    const Buffer host = host_buffer(spec.count() * element);
    if (wide_dtype() == DType::kF64)
      draw(spec, seed, static_cast<double*>(host.data()));
    else
      draw(spec, seed, static_cast<float*>(host.data()));
    backend_->copy_in(master_.flat(spec.offset, spec.count()), host.data());
  }
  refresh_compute();
}

void ParamStore::refresh_compute() {
  if (compute_.data != master_.data) backend_->copy(master_, compute_);
}

}  // namespace nexus
