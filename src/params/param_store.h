// The parameters of one rank: flat buffers in table order.
//
//   compute  the type of matrix products
//   grad     wide (f32; f64 for checks); accumulated over micro-batches
//   master   wide: what the optimizer updates and checkpoints hold; the same memory as compute where the types agree
//            and nothing is sharded over dp
//   moment1, moment2   AdamW's exponential averages, wide; absent in a store made for inference
//
// Beside them lies what else the layers compute with and no gradient moves: the norms' scales, masks of growths.
//
// With ZeRO-1 the last three hold this rank's pieces only, at ParamPiece::state_offset (params/partition.h).
#pragma once

#include "backend/backend.h"
#include "params/growth_mask.h"
#include "params/norm_scale.h"
#include "params/partition.h"

namespace nexus {

class ParamStore {
 public:
  enum class Use { kTraining, kInference };
  // Throws ErrorKind::kConfig where the device has no room for the buffers, saying what would share them out.
  ParamStore(Backend& backend, const ParamTable& table, DType compute, Use use = Use::kTraining);

  const ParamTable& table() const { return *table_; }
  DType compute_dtype() const { return compute_dtype_; }
  DType wide_dtype() const { return wide_of(compute_dtype_); }
  int64_t size_bytes() const { return size_bytes_; }
  // Bytes that a store of this table takes, without making one.
  static int64_t bytes_for(const ParamTable& table, DType compute, Use use);

  // Views of what this rank holds of one tensor.
  Tensor weight(int index) const { return view(compute_, index); }
  Tensor grad(int index) const { return view(grad_, index); }
  // Neighbours [index, index + count) of equal local width, stacked along the first axis.
  Tensor weights(int index, int count) const { return stacked(compute_, index, count); }
  Tensor grads(int index, int count) const { return stacked(grad_, index, count); }

  // Flat views of everything.
  const Tensor& master() const { return master_; }
  const Tensor& compute() const { return compute_; }
  const Tensor& grad() const { return grad_; }
  const Tensor& moment1() const { return moment1_; }
  const Tensor& moment2() const { return moment2_; }

  // Draws every tensor from (seed, name, logical index): the same values on every grid.
  void initialize(uint64_t seed);
  // Sets one tensor, master and compute, from what this rank holds of it: wide host memory of `local.count()` elements.
  void set_weights(int index, const void* local_host);
  void zero_grad() { backend_->run(ops::Zero{grad_}); }
  // Makes `compute` follow `master` where this rank has all of it; with ZeRO-1 see all_gather_weights (replication.h).
  void refresh_compute();
  Backend& backend() const { return *backend_; }

  const NormScales& norm_scales() const { return norm_scales_; }
  void set_norm_scales(const NormScales& scales) { norm_scales_ = scales; }
  const GrowthMasks& growth_masks() const { return growth_masks_; }
  void set_growth_masks(const GrowthMasks& masks) { growth_masks_ = masks; }

 private:
  void allocate(Use use);
  Tensor view(const Tensor& flat, int index) const;
  Tensor stacked(const Tensor& flat, int index, int count) const;

  Backend* backend_;
  const ParamTable* table_;
  DType compute_dtype_;
  int64_t size_bytes_ = 0;
  NormScales norm_scales_;
  GrowthMasks growth_masks_;
  std::vector<Buffer> buffers_;
  Tensor master_, compute_, grad_, moment1_, moment2_;
};

}  // namespace nexus
