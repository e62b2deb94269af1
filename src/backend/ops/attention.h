// Attention and rotary positions, over packed rows: token (b, t) of q lies at q + (b * context + t) * ld, head h at
// + h * head_dim; likewise k, v (kv_heads of them: grouped-query attention), and out / dout with leading dimension
// heads * head_dim.
// The tensors q, k, v, dq, dk, dv (and x of Rotate) are views from the first element used: shape[0] counts tokens, ld
// says where they lie, other extents are not read.
#pragma once

#include "backend/ops/operation.h"

namespace nexus {

enum class AttentionMask {
  kCausal,  // token t sees tokens up to t of its sequence
  kFull,    // every token sees every other one of its sequence
};

struct Attention {
  int64_t batch = 0, context = 0, heads = 0, kv_heads = 0, head_dim = 0;
  int64_t ld = 0;  // elements between tokens of q, k, v and their gradients
  AttentionMask mask = AttentionMask::kCausal;

  bool causal() const { return mask == AttentionMask::kCausal; }

  int64_t tokens() const { return batch * context; }
  // Of one product over all heads, of a causal one its half; lengths, which only the data know, count as full. A
  // forward pass has two products, a backward pass counts four by the convention of three times forward; recomputing
  // the probabilities is not counted.
  double product_flops() const {
    const double half = static_cast<double>(batch * heads * context) * static_cast<double>(context * head_dim);
    return causal() ? half : 2 * half;
  }
  // q, k, v and out, or their gradients: views do not say how wide they are.
  double head_bytes(DType dtype) const {
    return static_cast<double>(tokens() * (2 * heads + 2 * kv_heads) * head_dim * size_of(dtype));
  }
};

// Sequences of unequal lengths without padding, one after the other, whose keys lie anywhere: prefixes that several
// sequences share, keys that earlier passes have left in a cache.
struct RaggedAttention {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  int64_t q_ld = 0, kv_ld = 0;  // elements between rows of q; of k and v
  int64_t longest = 0;          // queries of the longest run
  int64_t pairs = 0;            // of a query and a key that it sees, over all runs
};

struct Rope {
  int64_t context = 0, heads = 0, head_dim = 0;
  int64_t rotary_dim = 0;  // leading elements of a head that rotate, "rotate half" layout
  int64_t ld = 0;          // elements between tokens
  double theta = 10000.0;
};

}  // namespace nexus

namespace nexus::ops {

// `x` names q or k inside packed rows; `inverse` rotates back (the backward pass). Row r has position r % context, or
// positions[r], i32 [rows], each in [0, context): the CPU refuses others, a GPU cannot look before it launches.
struct Rotate {
  Rope options;
  Tensor x;
  bool inverse = false;
  Tensor positions = {};

  void check() const {
    check_float(x);
    NX_CHECK(options.context > 0 && options.heads > 0 && x.shape.rank() >= 1, "{} in contexts of {}", x.shape.str(),
             options.context);
    if (positions.defined())
      check_is(positions, DType::kI32, {x.shape[0]});
    else
      NX_CHECK(x.shape[0] % options.context == 0, "{} in contexts of {}", x.shape.str(), options.context);
    NX_CHECK(options.rotary_dim >= 0 && options.rotary_dim % 2 == 0 && options.rotary_dim <= options.head_dim,
             "{} of {} rotate", options.rotary_dim, options.head_dim);
    check_packed(x, x.dtype, x.shape[0], options.heads * options.head_dim, options.ld);
  }
  // The elements that rotate are updated.
  Cost cost() const {
    return {.family = "rope",
            .bytes = 2.0 * static_cast<double>(x.shape[0] * options.heads * options.rotary_dim * size_of(x.dtype))};
  }
};

// scale 1/sqrt(head_dim). logsumexp is wide [batch, heads, context]. Never materialises context x context.
//
// With kFull, `lengths` (i32 [batch], 0 to context) may be defined: of a sample only the first tokens exist then. The
// others neither attend nor are attended, whatever finite values they hold; their rows of out, dq, dk and dv are zero,
// and their logsumexp means nothing. The CPU refuses lengths out of range; a GPU cannot look before it launches.
struct AttentionForward {
  Attention options;
  Tensor q, k, v, out, logsumexp;
  Tensor lengths = {};

  void check() const {
    const auto& [batch, context, heads, kv_heads, head_dim, ld, mask] = options;
    check_float(q);
    NX_CHECK(batch > 0 && context > 0 && heads > 0 && kv_heads > 0 && head_dim > 0, "empty attention");
    NX_CHECK(heads % kv_heads == 0, "{} heads share {} kv heads", heads, kv_heads);
    check_packed(q, q.dtype, options.tokens(), heads * head_dim, ld);
    check_packed(k, q.dtype, options.tokens(), kv_heads * head_dim, ld);
    check_packed(v, q.dtype, options.tokens(), kv_heads * head_dim, ld);
    NX_CHECK(out.dtype == q.dtype && out.count() == options.tokens() * heads * head_dim, "output {} of {} tokens",
             out.shape.str(), options.tokens());
    check_wide(logsumexp, q.dtype, {batch, heads, context});
    if (!lengths.defined()) return;
    NX_CHECK(mask == AttentionMask::kFull, "causal attention takes whole sequences");
    check_is(lengths, DType::kI32, {batch});
  }
  Cost cost() const {
    return {"attention_forward", 2 * options.product_flops(), options.head_bytes(q.dtype) + bytes_of(logsumexp)};
  }
};

// Writes dq, dk, dv (packed like q, k, v); `scratch` is wide [batch, heads, context].
struct AttentionBackward {
  Attention options;
  Tensor dout, q, k, v, out, logsumexp, scratch, dq, dk, dv;
  Tensor lengths = {};

  void check() const {
    AttentionForward{options, q, k, v, out, logsumexp, lengths}.check();
    AttentionForward{options, dq, dk, dv, dout, scratch}.check();
    NX_CHECK(dq.dtype == q.dtype, "gradients of {} for {}", name_of(dq.dtype), name_of(q.dtype));
  }
  // Reads dout besides what forward moves, and writes dq, dk, dv.
  Cost cost() const {
    return {"attention_backward", 4 * options.product_flops(), 2 * options.head_bytes(q.dtype) + bytes_of(logsumexp)};
  }
};

// A pass without a backward half. q [rows], k and v [slots] are packed, out is [rows, heads * head_dim].
//
// runs, i32 [R, 4], has for each run of queries: its first row of q, its rows n, where its keys begin in `keys`, and
// their number m >= n. keys, i32, names rows of k and v. The i-th query of a run, from 0, sees the first m - n + i + 1
// of its keys. Runs do not overlap, and rows of q that are in none keep what lies in `out`. The CPU refuses tables that
// name what is not there; a GPU cannot look before it launches.
struct RaggedAttentionForward {
  RaggedAttention options;
  Tensor q, k, v, runs, keys, out;

  void check() const {
    const auto& [heads, kv_heads, head_dim, q_ld, kv_ld, longest, pairs] = options;
    check_float(q);
    NX_CHECK(heads > 0 && kv_heads > 0 && head_dim > 0 && heads % kv_heads == 0, "{} heads share {} kv heads of {}",
             heads, kv_heads, head_dim);
    NX_CHECK(longest > 0 && pairs > 0, "runs of {} queries, {} pairs", longest, pairs);
    check_packed(q, q.dtype, q.shape[0], heads * head_dim, q_ld);
    check_packed(k, q.dtype, k.shape[0], kv_heads * head_dim, kv_ld);
    check_packed(v, q.dtype, k.shape[0], kv_heads * head_dim, kv_ld);
    NX_CHECK(runs.dtype == DType::kI32 && runs.shape.rank() == 2 && runs.shape[1] == 4, "runs {}", runs.shape.str());
    NX_CHECK(keys.dtype == DType::kI32, "keys of {}", name_of(keys.dtype));
    NX_CHECK(out.dtype == q.dtype && out.count() == q.shape[0] * heads * head_dim, "output {} of {} queries",
             out.shape.str(), q.shape[0]);
  }
  // Keys and values are read once for each run that sees them.
  Cost cost() const {
    const auto& [heads, kv_heads, head_dim, q_ld, kv_ld, longest, pairs] = options;
    const auto rows = static_cast<double>(2 * q.shape[0] * heads + 2 * keys.count() * kv_heads);
    return {"attention_forward", 4 * static_cast<double>(pairs) * static_cast<double>(heads * head_dim),
            rows * static_cast<double>(head_dim * size_of(q.dtype)) + bytes_of(runs, keys)};
  }
};

using Attentions = List<Rotate, AttentionForward, AttentionBackward, RaggedAttentionForward>;

}  // namespace nexus::ops
