// Norms of the residual stream.
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

using RowNorms = List<AddNormForward, NormBackward>;

}  // namespace nexus::ops
