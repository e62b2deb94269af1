// Self-attention with optional rotary positions (Su et al. 2021) and grouped queries (Ainslie et al. 2023):
//
//   q, k, v = qkv(x), packed [rows, (H + 2 KV) * head_dim];  q, k normalised where they have norms, then rotated;
//   y = o(attention(q, k, v))
#pragma once

#include <memory>
#include <optional>

#include "layers/head_norm.h"
#include "layers/projection.h"

namespace nexus {

struct SelfAttentionOptions {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;  // heads of this rank
  int64_t rotary_dim = 0;                         // leading elements of each head that rotate; 0: rows have no order
  double theta = 10000.0;
  AttentionMask mask = AttentionMask::kCausal;
};

struct QkNorm {
  HeadNormLayer q, k;
};

class SelfAttention {
 public:
  // `qkv` has three groups of outputs H, KV, KV times head_dim.
  SelfAttention(const SelfAttentionOptions& options, std::unique_ptr<Projection> qkv, std::optional<QkNorm> norm,
                std::unique_ptr<Projection> o);

  void forward(const LayerContext& ctx, const Tensor& x, const Tensor& y);
  void backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx);

 private:
  // q, k and v inside a packed tensor.
  struct Packed {
    Tensor q, k, v;
  };
  Packed unpack(const Tensor& packed) const;
  Attention attention(const LayerContext& ctx) const;
  // Rotates q and k in place; `inverse` for gradients.
  void rotate(const LayerContext& ctx, const Packed& packed, bool inverse) const;
  // Ragged rows: adds k and v to the cache, if there is one, and attends.
  void attend_ragged(const LayerContext& ctx, const Packed& parts) const;
  // Of ragged rows that are a batch, and rows that fill them up: by the operation that is made for batches.
  void attend_sequences(const LayerContext& ctx, const Packed& parts) const;

  SelfAttentionOptions options_;
  std::optional<QkNorm> norm_;
  std::unique_ptr<Projection> qkv_, o_;
  Tensor packed_, out_, logsumexp_;  // rotated q, k, v; [rows, H * head_dim]; wide [B, H, T]
};

}  // namespace nexus
