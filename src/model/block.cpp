#include "model/block.h"

#include <utility>

#include "layers/tensor_parallel.h"

namespace nexus {
namespace {

// x += branch(norm(x)), its output left pending.
template <typename Branch>
void forward_branch(const LayerContext& ctx, RowNormLayer& norm, Branch& branch, ResidualStream& stream,
                    const Tensor& spare) {
  const Shape shape = stream.x.shape;
  const Tensor out = spare.defined() ? spare : ctx.alloc(shape);
  const ForwardScope scope(ctx);
  const Tensor normed = ctx.sequence_parallel() ? stream.normed : ctx.alloc(shape);
  norm.forward(ctx, stream, normed);
  const Tensor partial = ctx.sequence_parallel() ? stream.partial : out;
  branch.forward(ctx, gather_rows(ctx, normed), partial);
  reduce_rows(ctx, partial, out);
  stream.pending = out;
}

// The residual path passes dx on unchanged; the branch adds its part.
template <typename Branch>
void backward_branch(const LayerContext& ctx, RowNormLayer& norm, Branch& branch, const Tensor& dx) {
  const Arena::Frame frame(ctx.arena);
  const Tensor dnormed = ctx.alloc(dx.shape);
  const Tensor dout = gather_rows(ctx, dx), partial = partial_rows(ctx, dnormed);
  branch.backward(ctx, dout, partial);
  reduce_rows(ctx, partial, dnormed);
  norm.backward(ctx, dnormed, dx);
}

}  // namespace

Block::Block(RowNormLayer attention_norm, SelfAttention attention, RowNormLayer mlp_norm,
             std::unique_ptr<Projection> mlp)
    : attention_norm_(attention_norm), mlp_norm_(mlp_norm), attention_(std::move(attention)), mlp_(std::move(mlp)) {}

void Block::forward(const LayerContext& ctx, ResidualStream& stream, const Tensor& spare) {
  forward_branch(ctx, attention_norm_, attention_, stream, spare);
  forward_branch(ctx, mlp_norm_, *mlp_, stream, spare);
}

void Block::backward(const LayerContext& ctx, const Tensor& dx) {
  backward_branch(ctx, mlp_norm_, *mlp_, dx);
  backward_branch(ctx, attention_norm_, attention_, dx);
}

}  // namespace nexus
