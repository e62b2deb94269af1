// Norms of the residual stream and of attention's heads.
#pragma once

#include "backend/ops/operation.h"

namespace nexus {

enum class RowNormKind { kRms, kLayer };

// y = weight * normalised(x); RMS: x / sqrt(mean(x^2) + eps), layer: (x - mean) / sqrt(var + eps). No weight where
// undefined.
struct RowNorm {
  RowNormKind kind = RowNormKind::kRms;
  double eps = 1e-6;
};

// RMS norm of every head of q or k (Henry et al. 2020).
struct HeadNorm {
  int64_t heads = 0, head_dim = 0;
  int64_t ld = 0;  // elements between tokens
  double eps = 1e-6;
};

}  // namespace nexus

namespace nexus::ops {

// x += delta (if delta is defined), then y = norm(x) * weight. x, delta, y are [rows, D]; stats is wide [rows, 2]: mean
// (0 for RMS) and 1 / deviation. x is updated in place.
struct AddNormForward {
  RowNorm options;
  Tensor x, delta, weight, y, stats;

  void check() const {
    check_float(x);
    NX_CHECK(x.shape.rank() == 2, "{}", x.shape.str());
    check_same(x, y);
    if (delta.defined()) check_same(x, delta);
    if (weight.defined()) check_is(weight, x.dtype, {x.shape[1]});
    check_wide(stats, x.dtype, {x.shape[0], 2});
  }
  // x is written only where delta is added to it.
  Cost cost() const {
    return {.family = "norm", .bytes = bytes_of(x, delta, delta.defined() ? x : Tensor{}, weight, y, stats)};
  }
};

// dx += gradient through the norm; dweight (wide, if defined) += its gradient. x is the norm's input.
struct NormBackward {
  RowNorm options;
  Tensor dy, x, weight, stats, dx, dweight;

  void check() const {
    AddNormForward{options, x, dy, weight, dx, stats}.check();
    if (!dweight.defined()) return;
    NX_CHECK(weight.defined(), "a gradient of no weight");
    check_wide(dweight, x.dtype, {x.shape[1]});
  }
  Cost cost() const { return {.family = "norm", .bytes = bytes_of(dy, x, weight, stats, dx, dx, dweight, dweight)}; }
};

// In place, for every head h of every token: x_h = weight_h * x_h / sqrt(mean(x_h^2) + eps). `x` names q or k inside
// packed rows, weight is [heads * head_dim]. What the backward pass needs: kept [tokens, heads * head_dim] gets x as it
// was, stats, wide [tokens, heads], 1 / deviation; both or neither are defined.
struct HeadNormForward {
  HeadNorm options;
  Tensor x, weight, kept, stats;

  void check() const {
    check_float(x);
    const int64_t tokens = x.shape[0], width = options.heads * options.head_dim;
    NX_CHECK(options.heads > 0 && options.head_dim > 0, "{} heads of {}", options.heads, options.head_dim);
    check_packed(x, x.dtype, tokens, width, options.ld);
    check_is(weight, x.dtype, {width});
    NX_CHECK(kept.defined() == stats.defined(), "one of two");
    if (!kept.defined()) return;
    check_is(kept, x.dtype, {tokens, width});
    check_wide(stats, x.dtype, {tokens, options.heads});
  }
  Cost cost() const {
    const double elements = static_cast<double>(x.shape[0] * options.heads * options.head_dim);
    return {.family = "norm",
            .bytes = 2 * elements * static_cast<double>(size_of(x.dtype)) + bytes_of(weight, kept, stats)};
  }
};

// dx, inside packed rows, is the gradient of the norm's output on entry and of its input on return; dweight, wide, +=
// its gradient. x is what the forward pass kept.
struct HeadNormBackward {
  HeadNorm options;
  Tensor dx, x, weight, stats, dweight;

  void check() const {
    HeadNormForward{options, dx, weight, x, stats}.check();
    NX_CHECK(x.defined(), "the forward pass kept nothing");
    check_wide(dweight, x.dtype, weight.shape);
  }
  Cost cost() const {
    return {.family = "norm", .bytes = 2 * bytes_of(x) + bytes_of(x, weight, stats, dweight, dweight)};
  }
};

using RowNorms = List<AddNormForward, NormBackward, HeadNormForward, HeadNormBackward>;

}  // namespace nexus::ops
