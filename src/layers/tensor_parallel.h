// Collectives of activations between the ranks that share a layer's tensors (docs/parallelism.md).
//
// Inside a branch every rank has all rows, and its matrices a share of the channels; a branch's output is a partial sum
// that the ranks add up. With sequence parallelism the residual stream outside the branches holds rows / p rows on each
// rank (Korthikanti et al. 2022): entering a branch gathers rows, leaving it adds and scatters them. Without, every
// rank holds the whole stream, entering is free and leaving is an all-reduce (Shoeybi et al. 2019).
//
// With one rank nothing here does anything, or costs anything.
#pragma once

#include <vector>

#include "layers/context.h"

namespace nexus {

// All rows [rows, D] out of the stream's rows: `stream` itself, unless rows are split.
Tensor gather_rows(const LayerContext& ctx, const Tensor& stream);
// Memory for a partial sum [rows, D] that reduce_rows will turn into `stream`: `stream` itself, unless rows are split.
Tensor partial_rows(const LayerContext& ctx, const Tensor& stream);
// stream [stream_rows, D] = this rank's rows of the sum of `partial` [rows, D] over the ranks.
void reduce_rows(const LayerContext& ctx, const Tensor& partial, const Tensor& stream);

// Columns that lie in groups of `widths` side by side; each rank has an equal share of every group.
// full [rows, sum of widths] out of every rank's local [rows, sum of widths / p].
void gather_columns(const LayerContext& ctx, const Tensor& local, const std::vector<int64_t>& widths,
                    const Tensor& full);
// local = this rank's columns of the sum of `partial`, shaped like `full` above, over the ranks.
void reduce_scatter_columns(const LayerContext& ctx, const Tensor& partial, const std::vector<int64_t>& widths,
                            const Tensor& local);

// a = GELU(n(h)) and its backward pass for rows whose columns are split over the ranks: h, a [rows, G, width / p].
void norm_gelu_forward(const LayerContext& ctx, const NormGelu& op, const Tensor& h, const Tensor& a,
                       const Tensor& row_scale);
void norm_gelu_backward(const LayerContext& ctx, const NormGelu& op, const Tensor& da, const Tensor& h,
                        const Tensor& row_scale, const Tensor& dh);

}  // namespace nexus
