#include "layers/embedding.h"

#include "layers/matrix.h"

namespace nexus {

Embedding::Embedding(ParamTable& table, const std::string& weight_name, int64_t vocab, int64_t d)
    : weight_(table.add(matrix_spec(weight_name, fixed_axis(vocab), fixed_axis(d), 0))) {}

void Embedding::forward(const LayerContext& ctx, const Tensor& tokens, const Tensor& out) const {
  ctx.backend.run(ops::EmbeddingForward{
      .tokens = tokens, .weight = ctx.params.weight(weight_), .first_token = first_token(ctx), .out = out});
}

void Embedding::backward(const LayerContext& ctx, const Tensor& tokens, const Tensor& dout) const {
  ctx.backend.run(ops::EmbeddingBackward{
      .tokens = tokens, .dout = dout, .first_token = first_token(ctx), .dweight = ctx.params.grad(weight_)});
}

int64_t Embedding::first_token(const LayerContext& ctx) const {
  return ctx.params.table()[weight_].local.begin_row;
}

}  // namespace nexus
