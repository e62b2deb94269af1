// Language-model head, the output layer of text: logits = W x with W [V, D], and their cross-entropy with "targets",
// i32 [T]; a target of -1 is ignored. Logits exist for a few rows at a time only, so their memory is bounded whatever
// the batch; training takes the gradients of W and x right there. Losses and figures are those of the rows.
#pragma once

#include <functional>
#include <string>

#include "layers/output_layer.h"

namespace nexus {

class Head : public OutputLayer {
 public:
  // Rows whose logits exist at a time: enough for fast products, an eighth of a large micro-batch.
  static int64_t chunk_rows(int64_t rows);

  // A head of its own, or one that shares the embedding's matrix.
  Head(ParamTable& table, const std::string& weight_name, int64_t vocab, int64_t d);
  Head(ParamTable& table, int shared_param);

  BatchFields fields(int64_t positions) const override;
  int64_t losses_per_sample(int64_t positions) const override { return positions; }
  int64_t figures_per_sample(int64_t positions) const override { return positions; }
  int64_t predictions_per_sample(const ParamTable& table, int64_t positions) const override;

  // Over tensor-parallel ranks each has a slice of the vocabulary.
  void forward_backward(const LayerContext& ctx, const Tensor& x, const Batch& batch, double grad_scale,
                        const Tensor& losses) const override;
  // The losses, from wide logits.
  void evaluate(const LayerContext& ctx, const Tensor& x, const Batch& batch, const Tensor& figures) const override;
  // The logits of this rank's slice.
  void predict(const LayerContext& ctx, const Tensor& x, const Batch& batch, const Tensor& out) const override;
  void softmax_statistics(const LayerContext& ctx, const Tensor& x, const Batch& batch,
                          const Tensor& out) const override;

 private:
  // Calls `use` with the wide logits [rows, V] of rows [begin, begin + rows), a few at a time.
  void for_wide_logits(const LayerContext& ctx, const Tensor& x,
                       const std::function<void(int64_t begin, int64_t rows, const Tensor& logits)>& use) const;
  // Losses, and the logits' gradients in their place if grad_scale is not 0.
  void cross_entropy(const LayerContext& ctx, const Tensor& logits, const Tensor& targets, const Tensor& losses,
                     double grad_scale) const;

  int weight_;
};

}  // namespace nexus
