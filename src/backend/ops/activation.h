// Activations: norm and GELU of Nexus-Rank and Pattention stages, gates of MLPs. They cost every argument once, dh too
// where it lies over da (one is read, the other written).
#pragma once

#include <vector>

#include "backend/ops/operation.h"

namespace nexus {

enum class NormKind { kNone, kL2 };
enum class GeluKind { kErf, kTanh };

// Activation of a Nexus-Rank or Pattention stage: a = GELU(n(h)) (docs/numerics.md, The function).
// Rows come in groups (q, k, v share one call): h is [rows, groups, width], row (r, g) is scaled to norm scales[g].
struct NormGelu {
  NormKind norm = NormKind::kL2;
  GeluKind gelu = GeluKind::kErf;
  double eps = 1e-5;           // s = scale / (||h|| + eps), and s = 0 where ||h|| + eps is zero
  std::vector<double> scales;  // one per group: sqrt(O) of that group's layer (sqrt(n_scale) for Pattention)
};

enum class GateKind { kSwiGlu, kGelu };  // kGelu: a plain GELU, no gate

}  // namespace nexus

namespace nexus::ops {

// The groups of a Nexus-Rank activation: h is [rows, width] (one group) or [rows, groups, width].
struct GroupedRows {
  int64_t rows = 0, groups = 1, width = 0;
};
inline GroupedRows grouped_rows(const Tensor& h) {
  NX_CHECK(h.shape.rank() == 2 || h.shape.rank() == 3, "{} is neither [rows, width] nor [rows, groups, width]",
           h.shape.str());
  if (h.shape.rank() == 2) return {h.shape[0], 1, h.shape[1]};
  return {h.shape[0], h.shape[1], h.shape[2]};
}

// row_scale is wide [rows, groups] (unused for kNone).
inline void check_norm_gelu(const NormGelu& options, const Tensor& h, const Tensor& a, const Tensor& row_scale) {
  check_float(h);
  check_same(h, a);
  if (options.norm == NormKind::kNone) return;
  const GroupedRows size = grouped_rows(h);
  NX_CHECK(static_cast<int64_t>(options.scales.size()) == size.groups, "{} scales for {} groups", options.scales.size(),
           size.groups);
  check_wide(row_scale, h.dtype, {size.rows, size.groups});
}

struct NormGeluForward {
  NormGelu options;
  Tensor h, a, row_scale;

  void check() const { check_norm_gelu(options, h, a, row_scale); }
  Cost cost() const { return {.family = "activation", .bytes = bytes_of(h, a, row_scale)}; }
};

// dh may alias da. With u = s h, du = da GELU'(u), r = sum(u du): dh = s (du - u (r / c^2) (1 + eps / ||h||)).
struct NormGeluBackward {
  NormGelu options;
  Tensor da, h, row_scale, dh;

  void check() const {
    check_norm_gelu(options, h, dh, row_scale);
    check_same(da, h);
  }
  Cost cost() const { return {.family = "activation", .bytes = bytes_of(da, h, row_scale, dh)}; }
};

// --- the same in two halves, for rows that are split over ranks, which add up `sums` (wide [rows, groups]) in between.
// Widths are local; scales are still those of the whole layer. Never called for kNone.

// sums = sum over the row of h^2
struct RowSumSquares {
  Tensor h, sums;

  void check() const {
    check_float(h);
    const GroupedRows size = grouped_rows(h);
    check_wide(sums, h.dtype, {size.rows, size.groups});
  }
  Cost cost() const { return {.family = "activation", .bytes = bytes_of(h, sums)}; }
};

inline void check_norm_gelu_from(const NormGelu& options, const Tensor& h, const Tensor& sums, const Tensor& a,
                                 const Tensor& row_scale) {
  NX_CHECK(options.norm != NormKind::kNone, "sums of rows without a norm");
  check_norm_gelu(options, h, a, row_scale);
  RowSumSquares{h, sums}.check();
}

struct NormGeluForwardFrom {
  NormGelu options;
  Tensor h, sums, a, row_scale;

  void check() const { check_norm_gelu_from(options, h, sums, a, row_scale); }
  Cost cost() const { return {.family = "activation", .bytes = bytes_of(h, sums, a, row_scale)}; }
};

// sums = r = sum(u du)
struct NormGeluBackwardSums {
  NormGelu options;
  Tensor da, h, row_scale, sums;

  void check() const { check_norm_gelu_from(options, h, sums, da, row_scale); }
  Cost cost() const { return {.family = "activation", .bytes = bytes_of(da, h, row_scale, sums)}; }
};

// dh may alias da.
struct NormGeluBackwardFrom {
  NormGelu options;
  Tensor da, h, row_scale, sums, dh;

  void check() const {
    check_norm_gelu_from(options, h, sums, dh, row_scale);
    check_same(da, h);
  }
  Cost cost() const { return {.family = "activation", .bytes = bytes_of(da, h, row_scale, sums, dh)}; }
};

// kSwiGlu: h [rows, 2F] holds gate then up, a [rows, F] = silu(gate) * up. kGelu: h, a [rows, F].
struct GateForward {
  GateKind gate = GateKind::kSwiGlu;
  GeluKind gelu = GeluKind::kErf;
  Tensor h, a;

  void check() const {
    check_float(h);
    NX_CHECK(h.shape.rank() == 2 && a.shape.rank() == 2 && h.dtype == a.dtype && h.shape[0] == a.shape[0],
             "gate of {} to {}", h.shape.str(), a.shape.str());
    const int64_t inputs = gate == GateKind::kSwiGlu ? 2 : 1;
    NX_CHECK(h.shape[1] == inputs * a.shape[1], "gate of {} to {}", h.shape.str(), a.shape.str());
  }
  Cost cost() const { return {.family = "activation", .bytes = bytes_of(h, a)}; }
};

struct GateBackward {
  GateKind gate = GateKind::kSwiGlu;
  GeluKind gelu = GeluKind::kErf;
  Tensor da, h, dh;

  void check() const {
    GateForward{gate, gelu, h, da}.check();
    GateForward{gate, gelu, dh, da}.check();
  }
  Cost cost() const { return {.family = "activation", .bytes = bytes_of(da, h, dh)}; }
};

using Activations = List<NormGeluForward, NormGeluBackward, RowSumSquares, NormGeluForwardFrom, NormGeluBackwardSums,
                         NormGeluBackwardFrom, GateForward, GateBackward>;

}  // namespace nexus::ops
