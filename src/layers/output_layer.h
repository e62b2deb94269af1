// Where rows of the residual stream become predictions, losses and what metrics are made of: the last layer of a model,
// one per workload (model/workload.h).
#pragma once

#include "data/batch.h"
#include "layers/context.h"

namespace nexus {

class OutputLayer {
 public:
  virtual ~OutputLayer() = default;

  // What it reads of samples of `positions` rows each.
  virtual BatchFields fields(int64_t positions) const = 0;
  // Losses of one sample: their mean over the global batch is what training minimises.
  virtual int64_t losses_per_sample(int64_t positions) const = 0;
  // Numbers that `evaluate` gives for one sample: its losses, and after them what else the workload's metrics are made
  // of.
  virtual int64_t figures_per_sample(int64_t positions) const = 0;
  // Of one sample, on a rank that holds `table`; growth must not change them.
  virtual int64_t predictions_per_sample(const ParamTable& table, int64_t positions) const = 0;

  // Training: losses wide [samples, losses_per_sample]; x [rows, D] becomes the gradient of grad_scale * sum(losses),
  // a partial sum over tensor-parallel ranks, and the gradients of its own parameters are added to the store. The
  // losses are those of the whole on every rank.
  virtual void forward_backward(const LayerContext& ctx, const Tensor& x, const Batch& batch, double grad_scale,
                                const Tensor& losses) const = 0;
  // figures wide [samples, figures_per_sample], from the rows x [rows, D].
  virtual void evaluate(const LayerContext& ctx, const Tensor& x, const Batch& batch, const Tensor& figures) const = 0;
  // out wide [samples, predictions_per_sample].
  virtual void predict(const LayerContext& ctx, const Tensor& x, const Batch& batch, const Tensor& out) const = 0;
  // Of a layer that chooses from a vocabulary: out wide [tensor-parallel ranks, rows, 3], by ops::CrossEntropyStats of
  // each rank's slice. They tell a target's log-likelihood, and whether it is the likeliest token.
  virtual void softmax_statistics(const LayerContext&, const Tensor&, const Batch&, const Tensor&) const {
    NX_CHECK(false, "this output layer has no vocabulary");
  }
};

}  // namespace nexus
