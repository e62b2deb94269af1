#include "layers/embedding.h"

#include "layers/matrix.h"

namespace nexus {

Embedding::Embedding(ParamTable& table, const std::string& weight_name, int64_t vocab, int64_t d)
    : weight_(table.add(matrix_spec(weight_name, fixed_axis(vocab), fixed_axis(d), 0))) {}

void Embedding::forward(const LayerContext& ctx, const Tensor& tokens, const Tensor& out) const {
  ctx.backend.embedding_forward(tokens, ctx.params.weight(weight_), out);
}

void Embedding::backward(const LayerContext& ctx, const Tensor& tokens, const Tensor& dout) const {
  ctx.backend.embedding_backward(tokens, dout, ctx.params.grad(weight_));
}

}  // namespace nexus
