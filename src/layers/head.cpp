#include "layers/head.h"

#include <algorithm>

#include "layers/matrix.h"

namespace nexus {

Head::Head(ParamTable& table, const std::string& weight_name, int64_t vocab, int64_t d)
    : weight_(table.add(matrix_spec(weight_name, fixed_axis(vocab), fixed_axis(d), 0))) {}

void Head::forward_backward(const LayerContext& ctx, const Tensor& x, const Tensor& targets, float grad_scale,
                            const Tensor& losses) const {
  const Arena::Frame frame(ctx.arena);
  const Tensor weight = ctx.params.weight(weight_), dweight = ctx.params.grad(weight_);
  const Tensor buffer = ctx.alloc({std::min(ctx.rows(), kChunkRows), weight.shape[0]});
  for (int64_t begin = 0; begin < ctx.rows(); begin += kChunkRows) {
    const int64_t rows = std::min(kChunkRows, ctx.rows() - begin);
    const Tensor logits = buffer.rows(0, rows), chunk = x.rows(begin, rows);
    ctx.backend.matmul(chunk, Mat(weight).t(), logits);
    ctx.backend.cross_entropy(logits, targets.rows(begin, rows), losses.rows(begin, rows), grad_scale);
    ctx.backend.matmul(Mat(logits).t(), chunk, dweight, 1.0f);
    ctx.backend.matmul(logits, weight, chunk);
  }
}

void Head::evaluate(const LayerContext& ctx, const Tensor& x, const Tensor& targets, const Tensor& losses) const {
  const Arena::Frame frame(ctx.arena);
  const Tensor weight = ctx.params.weight(weight_);
  const Tensor buffer = ctx.alloc_wide({std::min(ctx.rows(), kChunkRows), weight.shape[0]});
  for (int64_t begin = 0; begin < ctx.rows(); begin += kChunkRows) {
    const int64_t rows = std::min(kChunkRows, ctx.rows() - begin);
    const Tensor logits = buffer.rows(0, rows);
    ctx.backend.matmul(x.rows(begin, rows), Mat(weight).t(), logits);
    ctx.backend.cross_entropy(logits, targets.rows(begin, rows), losses.rows(begin, rows), 0.0f);
  }
}

void Head::logits(const LayerContext& ctx, const Tensor& x, const Tensor& out) const {
  ctx.backend.matmul(x, Mat(ctx.params.weight(weight_)).t(), out);
}

}  // namespace nexus
