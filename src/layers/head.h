// Language-model head: logits = W x with W [V, D], and their cross-entropy. Logits exist for a few rows at a time only,
// so their memory is bounded whatever the batch; training takes the gradients of W and x right there.
#pragma once

#include <string>

#include "layers/context.h"

namespace nexus {

class Head {
 public:
  // Rows whose logits exist at a time: enough for fast products, an eighth of a large micro-batch.
  static int64_t chunk_rows(int64_t rows);

  // A head of its own, or one that shares the embedding's matrix.
  Head(ParamTable& table, const std::string& weight_name, int64_t vocab, int64_t d);
  explicit Head(int shared_param) : weight_(shared_param) {}

  // Training: losses wide [rows]; x [rows, D] becomes the gradient of grad_scale * sum(losses), and W's is added to the
  // store. A target of -1 is ignored. Over tensor-parallel ranks each has a slice of the vocabulary: the losses are
  // those of the whole, and x becomes a partial sum.
  void forward_backward(const LayerContext& ctx, const Tensor& x, const Tensor& targets, double grad_scale,
                        const Tensor& losses) const;
  // Evaluation: losses wide [rows] from wide logits.
  void evaluate(const LayerContext& ctx, const Tensor& x, const Tensor& targets, const Tensor& losses) const;
  // out wide [rows, V of this rank].
  void logits(const LayerContext& ctx, const Tensor& x, const Tensor& out) const;

 private:
  // Losses, and the logits' gradients in their place if grad_scale is not 0.
  void cross_entropy(const LayerContext& ctx, const Tensor& logits, const Tensor& targets, const Tensor& losses,
                     double grad_scale) const;

  int weight_;
};

}  // namespace nexus
