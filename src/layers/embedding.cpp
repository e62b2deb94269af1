#include "layers/embedding.h"

#include "layers/matrix.h"

namespace nexus {
namespace {

Tensor tokens_of(const LayerContext& ctx, const Batch& batch) {
  return batch.at("tokens").reshaped({ctx.rows()});
}

ParamSpec lookup_spec(const std::string& name, int64_t vocab, int64_t d) {
  ParamSpec spec = matrix_spec(name, fixed_axis(vocab), fixed_axis(d), 0, kPublishedStd);
  spec.part = ModelPart::kInput;
  spec.products = 0;
  return spec;
}

}  // namespace

Embedding::Embedding(ParamTable& table, const std::string& weight_name, int64_t vocab, int64_t d)
    : weight_(table.add(lookup_spec(weight_name, vocab, d))) {}

BatchFields Embedding::fields(int64_t positions) const {
  return {{"tokens", DType::kI32, {positions}}};
}

void Embedding::forward(const LayerContext& ctx, const Batch& batch, const Tensor& out) const {
  ctx.backend.run(ops::EmbeddingForward{.tokens = tokens_of(ctx, batch),
                                        .weight = ctx.params.weight(weight_),
                                        .first_token = first_token(ctx),
                                        .out = out});
}

void Embedding::backward(const LayerContext& ctx, const Batch& batch, const Tensor& dout) const {
  ctx.backend.run(ops::EmbeddingBackward{.tokens = tokens_of(ctx, batch),
                                         .dout = dout,
                                         .first_token = first_token(ctx),
                                         .dweight = ctx.params.grad(weight_)});
}

int64_t Embedding::first_token(const LayerContext& ctx) const {
  return ctx.params.table()[weight_].local.begin_row;
}

}  // namespace nexus
