#include "layers/self_attention.h"

#include <utility>

namespace nexus {
namespace {

// Columns [begin, begin + width) of packed rows. The view is not contiguous: the operations take the leading dimension.
Tensor columns(const Tensor& packed, int64_t begin, int64_t width) {
  Tensor view = packed.flat(begin, packed.count() - begin);
  view.shape = {packed.shape[0], width};
  return view;
}

}  // namespace

SelfAttention::SelfAttention(const SelfAttentionOptions& options, std::unique_ptr<Projection> qkv,
                             std::optional<QkNorm> norm, std::unique_ptr<Projection> o)
    : options_(options), norm_(std::move(norm)), qkv_(std::move(qkv)), o_(std::move(o)) {
  const int64_t width = (options_.heads + 2 * options_.kv_heads) * options_.head_dim;
  NX_CHECK(qkv_->out_width() == width, "q, k, v have {} columns, {} heads need {}", qkv_->out_width(), options_.heads,
           width);
}

SelfAttention::Packed SelfAttention::unpack(const Tensor& packed) const {
  const int64_t q_width = options_.heads * options_.head_dim, kv_width = options_.kv_heads * options_.head_dim;
  return {columns(packed, 0, q_width), columns(packed, q_width, kv_width),
          columns(packed, q_width + kv_width, kv_width)};
}

Attention SelfAttention::attention(const LayerContext& ctx) const {
  return {ctx.batch,         ctx.context,       options_.heads, options_.kv_heads,
          options_.head_dim, qkv_->out_width(), options_.mask};
}

void SelfAttention::rotate(const LayerContext& ctx, const Packed& packed, bool inverse) const {
  if (options_.rotary_dim == 0) return;
  Rope rope{ctx.context, options_.heads, options_.head_dim, options_.rotary_dim, qkv_->out_width(), options_.theta};
  Tensor positions;
  if (ctx.ragged != nullptr) {
    rope.context = ctx.ragged->position_limit;
    positions = ctx.ragged->positions;
  }
  ctx.backend.run(ops::Rotate{.options = rope, .x = packed.q, .inverse = inverse, .positions = positions});
  rope.heads = options_.kv_heads;
  ctx.backend.run(ops::Rotate{.options = rope, .x = packed.k, .inverse = inverse, .positions = positions});
}

void SelfAttention::attend_sequences(const LayerContext& ctx, const Packed& parts) const {
  LayerContext batch = ctx;
  batch.context = ctx.ragged->sequence;
  batch.batch = ctx.ragged->runs.shape[0];
  const auto first = [&](const Tensor& x) { return x.rows(0, batch.rows()); };
  const Tensor logsumexp = logsumexp_.flat(0, batch.rows() * options_.heads);
  ctx.backend.run(ops::AttentionForward{.options = attention(batch),
                                        .q = first(parts.q),
                                        .k = first(parts.k),
                                        .v = first(parts.v),
                                        .out = first(out_),
                                        .logsumexp = logsumexp.reshaped({batch.batch, options_.heads, batch.context})});
}

void SelfAttention::attend_ragged(const LayerContext& ctx, const Packed& parts) const {
  NX_CHECK(options_.mask == AttentionMask::kCausal && ctx.pass == Pass::kEvaluation, "ragged rows are causal");
  const RaggedRows& rows = *ctx.ragged;
  const int64_t width = qkv_->out_width(), kv_width = options_.kv_heads * options_.head_dim;
  Tensor k = parts.k, v = parts.v;
  int64_t kv_ld = width;
  if (ctx.cache.defined()) {
    ctx.backend.run(ops::CopyMatrix{
        .from = Mat::view(packed_, ctx.rows(), 2 * kv_width, width, width - 2 * kv_width),
        .to = Mat::view(ctx.cache.rows(rows.first_slot, ctx.rows()), ctx.rows(), 2 * kv_width, 2 * kv_width)});
    kv_ld = 2 * kv_width;
    k = columns(ctx.cache, 0, kv_width);
    v = columns(ctx.cache, kv_width, kv_width);
  }
  if (rows.sequence > 0) return attend_sequences(ctx, parts);
  ctx.backend.run(ops::RaggedAttentionForward{
      .options = {options_.heads, options_.kv_heads, options_.head_dim, width, kv_ld, rows.longest, rows.pairs},
      .q = parts.q,
      .k = k,
      .v = v,
      .runs = rows.runs,
      .keys = rows.keys,
      .out = out_});
}

void SelfAttention::forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) {
  const ForwardScope scope(ctx);
  packed_ = ctx.alloc({ctx.rows(), qkv_->out_width()});
  out_ = ctx.alloc({ctx.rows(), options_.heads * options_.head_dim});
  logsumexp_ = ctx.alloc_wide({ctx.batch, options_.heads, ctx.context});
  qkv_->forward(ctx, x, packed_);
  const Packed parts = unpack(packed_);
  if (norm_) {
    norm_->q.forward(ctx, parts.q, qkv_->out_width());
    norm_->k.forward(ctx, parts.k, qkv_->out_width());
  }
  rotate(ctx, parts, false);
  if (ctx.ragged != nullptr)
    attend_ragged(ctx, parts);
  else
    ctx.backend.run(ops::AttentionForward{.options = attention(ctx),
                                          .q = parts.q,
                                          .k = parts.k,
                                          .v = parts.v,
                                          .out = out_,
                                          .logsumexp = logsumexp_,
                                          .lengths = ctx.lengths});
  o_->forward(ctx, out_, y);
}

void SelfAttention::backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx) {
  const Arena::Frame frame(ctx.arena);
  const Tensor dpacked = ctx.alloc(packed_.shape);
  {
    const Arena::Frame inner(ctx.arena);
    const Tensor dout = ctx.alloc(out_.shape);
    const Tensor scratch = ctx.alloc_wide(logsumexp_.shape);
    o_->backward(ctx, dy, dout);
    const Packed parts = unpack(packed_), dparts = unpack(dpacked);
    ctx.backend.run(ops::AttentionBackward{.options = attention(ctx),
                                           .dout = dout,
                                           .q = parts.q,
                                           .k = parts.k,
                                           .v = parts.v,
                                           .out = out_,
                                           .logsumexp = logsumexp_,
                                           .scratch = scratch,
                                           .dq = dparts.q,
                                           .dk = dparts.k,
                                           .dv = dparts.v,
                                           .lengths = ctx.lengths});
    rotate(ctx, dparts, true);
    if (norm_) {
      norm_->q.backward(ctx, dparts.q, qkv_->out_width());
      norm_->k.backward(ctx, dparts.k, qkv_->out_width());
    }
  }
  qkv_->backward(ctx, dpacked, dx);
}

}  // namespace nexus
