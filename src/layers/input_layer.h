// Where samples become rows of the residual stream: the first layer of a model, one per workload (model/workload.h).
#pragma once

#include "data/batch.h"
#include "layers/context.h"

namespace nexus {

class InputLayer {
 public:
  virtual ~InputLayer() = default;

  // What it reads of samples that become `positions` rows each.
  virtual BatchFields fields(int64_t positions) const = 0;
  // i32 [samples], of a batch whose samples have different numbers of rows: those beyond neither attend nor are
  // attended (only where Workload::mask is all to all). Undefined: all rows count.
  virtual Tensor lengths(const Batch&) const { return {}; }
  // out [rows, D]. Over tensor-parallel ranks it is a partial sum, which the caller adds up.
  virtual void forward(const LayerContext& ctx, const Batch& batch, const Tensor& out) const = 0;
  // Adds the gradients of its own parameters; dout [rows, D] is whole on every rank.
  virtual void backward(const LayerContext& ctx, const Batch& batch, const Tensor& dout) const = 0;
};

}  // namespace nexus
