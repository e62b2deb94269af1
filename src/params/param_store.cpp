#include "params/param_store.h"

#include "core/rng.h"
#include "core/units.h"

namespace nexus {
namespace {

// Draws a box of one tensor in the host type T; the value of an element depends on (seed, name, logical index) only.
template <typename T>
void draw(const ParamSpec& spec, uint64_t seed, T* out) {
  const Box& box = spec.local;
  if (spec.init == Init::kOnes) {
    std::fill(out, out + box.count(), T(1));
    return;
  }
  const RandomStream stream(seed, spec.name);
  const int64_t columns = spec.columns();
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < box.rows; ++row) {
    const int64_t first = (box.begin_row + row) * columns + box.begin_column;
    for (int64_t i = 0; i < box.columns; ++i)
      out[row * box.columns + i] = static_cast<T>(spec.init_std * stream.normal(static_cast<uint64_t>(first + i)));
  }
}

bool master_is_compute(const ParamTable& table, DType compute) {
  return compute == wide_of(compute) && !table.sharding().zero;
}

// What to do about a store that does not fit: no setting of the batch makes it smaller.
std::string cure_of(const ParamTable& table, int64_t bytes) {
  const Sharding& sharding = table.sharding();
  std::string cure = fmt::format("this rank's parameter buffers are {} in all: ", format_bytes(bytes));
  if (!sharding.zero && sharding.dp_size > 1) cure += "set parallel.zero to 1, ";
  cure += sharding.dp_size > 1 ? "start more ranks, " : "start more ranks with parallel.zero 1, ";
  return cure + fmt::format("raise parallel.tp (now {}), or choose a smaller model", sharding.tp_size);
}

}  // namespace

ParamStore::ParamStore(Backend& backend, const ParamTable& table, DType compute, Use use)
    : backend_(&backend), table_(&table), compute_dtype_(compute) {
  try {
    allocate(use);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kConfig) throw;
    throw Error(error.kind(), error.fact(), error.where(), cure_of(table, bytes_for(table, compute, use)));
  }
}

void ParamStore::allocate(Use use) {
  const ParamTable& table = *table_;
  const DType wide = wide_dtype();
  const bool one_copy = master_is_compute(table, compute_dtype_);
  auto make = [this](DType dtype, int64_t count, const char* what) {
    buffers_.push_back(backend_->allocate(count * size_of(dtype), what));
    size_bytes_ += buffers_.back().size_bytes();
    const Tensor tensor = buffers_.back().tensor(dtype, {count});
    backend_->run(ops::Zero{tensor});  // padding stays zero for ever
    return tensor;
  };
  compute_ = make(compute_dtype_, table.flat_count(), one_copy ? "weights" : "compute weights");
  master_ = one_copy ? compute_ : make(wide, table.state_count(), "master weights");
  if (use == Use::kInference) return;
  grad_ = make(wide, table.flat_count(), "gradients");
  moment1_ = make(wide, table.state_count(), "first moments");
  moment2_ = make(wide, table.state_count(), "second moments");
}

int64_t ParamStore::bytes_for(const ParamTable& table, DType compute, Use use) {
  const int64_t wide = size_of(wide_of(compute)), states = table.state_count() * wide;
  int64_t bytes = table.flat_count() * size_of(compute) + (master_is_compute(table, compute) ? 0 : states);
  if (use == Use::kTraining) bytes += table.flat_count() * wide + 2 * states;
  return bytes;
}

Tensor ParamStore::view(const Tensor& flat, int index) const {
  const ParamSpec& spec = (*table_)[index];
  return flat.flat(spec.offset, spec.local.count()).reshaped(spec.local_shape());
}

Tensor ParamStore::stacked(const Tensor& flat, int index, int count) const {
  const ParamSpec& first = (*table_)[index];
  int64_t rows = 0;
  for (int i = index; i < index + count; ++i) {
    const ParamSpec& spec = (*table_)[i];
    NX_CHECK(spec.axes.size() == 2 && spec.local.columns == first.local.columns &&
                 spec.offset == first.offset + rows * first.local.columns,
             "{} does not stack on {}", spec.name, first.name);
    rows += spec.local.rows;
  }
  return flat.flat(first.offset, rows * first.local.columns).reshaped({rows, first.local.columns});
}

void ParamStore::initialize(uint64_t seed) {
  for (int index = 0; index < table_->size(); ++index) {
    const ParamSpec& spec = (*table_)[index];
    const Buffer host = host_buffer(spec.local.count() * size_of(wide_dtype()));
    if (wide_dtype() == DType::kF64)
      draw(spec, seed, static_cast<double*>(host.data()));
    else
      draw(spec, seed, static_cast<float*>(host.data()));
    set_weights(index, host.data());
  }
}

void ParamStore::set_weights(int index, const void* local_host) {
  const ParamSpec& spec = (*table_)[index];
  const int64_t count = spec.local.count(), element = size_of(wide_dtype());
  const Tensor weights = compute_.flat(spec.offset, count);
  if (compute_dtype_ == wide_dtype()) {
    backend_->copy_in(weights, local_host);
  } else {
    const Buffer staging = backend_->allocate(count * element, "one tensor's weights on their way in");
    const Tensor wide = staging.tensor(wide_dtype(), {count});
    backend_->copy_in(wide, local_host);
    backend_->run(ops::Copy{.from = wide, .to = weights});
    backend_->synchronize();  // before the staging memory goes
  }
  if (master_.data == compute_.data) return;
  for (const ParamPiece& piece : state_pieces(*table_)) {
    if (piece.param != index) continue;
    const auto* from = static_cast<const char*>(local_host) + (piece.offset - spec.offset) * element;
    backend_->copy_in(master_.flat(piece.state_offset, piece.box.count()), from);
  }
}

void ParamStore::refresh_compute() {
  NX_CHECK(!table_->sharding().zero, "this rank holds a part of the master weights only");
  if (compute_.data != master_.data) backend_->run(ops::Copy{.from = master_, .to = compute_});
}

}  // namespace nexus
