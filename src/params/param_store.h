// The parameters of one rank: flat buffers in table order.
//
//   master   wide (f32; f64 for checks): what the optimizer updates and checkpoints hold
//   compute  the type of matrix products; the same memory as master unless that is bf16
//   grad     wide; accumulated over micro-batches
//   moment1, moment2   AdamW's exponential averages, wide; absent in a store made for inference
#pragma once

#include "backend/backend.h"
#include "params/param_table.h"

namespace nexus {

class ParamStore {
 public:
  enum class Use { kTraining, kInference };
  ParamStore(Backend& backend, const ParamTable& table, DType compute, Use use = Use::kTraining);

  const ParamTable& table() const { return *table_; }
  DType compute_dtype() const { return compute_dtype_; }
  DType wide_dtype() const { return wide_of(compute_dtype_); }
  int64_t size_bytes() const { return size_bytes_; }
  // Bytes that a store of this table takes, without making one.
  static int64_t bytes_for(const ParamTable& table, DType compute, Use use);

  // Views of one tensor, in its logical shape.
  Tensor weight(int index) const { return view(compute_, index); }
  Tensor grad(int index) const { return view(grad_, index); }
  // Neighbours [index, index + count) of the same trailing shape, stacked along the first axis.
  Tensor weights(int index, int count) const { return stacked(compute_, index, count); }
  Tensor grads(int index, int count) const { return stacked(grad_, index, count); }

  // Flat views of everything.
  const Tensor& master() const { return master_; }
  const Tensor& compute() const { return compute_; }
  const Tensor& grad() const { return grad_; }
  const Tensor& moment1() const { return moment1_; }
  const Tensor& moment2() const { return moment2_; }

  // Draws every tensor from (seed, name, logical index).
  void initialize(uint64_t seed);
  void zero_grad() { backend_->zero(grad_); }
  // Makes `compute` follow `master` after a load or an initialisation.
  void refresh_compute();
  Backend& backend() const { return *backend_; }

 private:
  Tensor view(const Tensor& flat, int index) const;
  Tensor stacked(const Tensor& flat, int index, int count) const;

  Backend* backend_;
  const ParamTable* table_;
  DType compute_dtype_;
  int64_t size_bytes_ = 0;
  std::vector<Buffer> buffers_;
  Tensor master_, compute_, grad_, moment1_, moment2_;
};

}  // namespace nexus
