#include "layers/tensor_parallel.h"

#include <algorithm>
#include <numeric>

namespace nexus {
namespace {

// Groups of columns that can be moved as one: `count` groups of `width` columns, the first at `begin` of the full row.
struct ColumnRun {
  int64_t begin = 0, width = 0, count = 0;
};

struct ColumnLayout {
  std::vector<ColumnRun> runs;
  int64_t full = 0;  // columns of a full row
};

ColumnLayout column_layout(const std::vector<int64_t>& widths) {
  ColumnLayout layout;
  for (const int64_t width : widths) {
    layout.runs.push_back({layout.full, width, 1});
    layout.full += width;
  }
  // Equal groups of [rows, G, width] are one group of [rows * G, width].
  if (std::all_of(widths.begin(), widths.end(), [&](int64_t width) { return width == widths[0]; }))
    layout.runs.assign(1, ColumnRun{0, widths[0], static_cast<int64_t>(widths.size())});
  return layout;
}

// Moves columns between a full tensor and the ranks' shares of it, which lie rank by rank in `shares`.
void move_columns(const LayerContext& ctx, const Tensor& full, const Tensor& shares, const ColumnLayout& layout,
                  bool to_full) {
  const int64_t p = ctx.tp_size(), rows = full.count() / layout.full;
  const int64_t share = layout.full / p;
  const bool one_run = layout.runs.size() == 1;
  for (const ColumnRun& run : layout.runs) {
    const int64_t width = run.width / p, lines = rows * run.count;
    const int64_t full_ld = one_run ? run.width : layout.full, share_ld = one_run ? width : share;
    const Mat in_full = Mat::view(full, lines, width, full_ld, run.begin).batched(p, width);
    const Mat in_shares = Mat::view(shares, lines, width, share_ld, run.begin / p).batched(p, rows * share);
    ctx.backend.run(ops::CopyMatrix{.from = to_full ? in_shares : in_full, .to = to_full ? in_full : in_shares});
  }
}

bool whole_rows(const LayerContext& ctx, const NormGelu& op) {
  return ctx.tp_size() == 1 || op.norm == NormKind::kNone;
}

}  // namespace

Tensor gather_rows(const LayerContext& ctx, const Tensor& stream) {
  if (!ctx.sequence_parallel()) return stream;
  const Tensor full = ctx.alloc({ctx.rows(), stream.shape[1]});
  ctx.tp->all_gather(stream, full);
  return full;
}

Tensor partial_rows(const LayerContext& ctx, const Tensor& stream) {
  return ctx.sequence_parallel() ? ctx.alloc({ctx.rows(), stream.shape[1]}) : stream;
}

void reduce_rows(const LayerContext& ctx, const Tensor& partial, const Tensor& stream) {
  if (ctx.tp_size() == 1) return;
  if (ctx.sequence_parallel())
    ctx.tp->reduce_scatter_sum(partial, stream);
  else
    ctx.tp->all_reduce_sum(stream);  // `partial` is the same memory
}

void gather_columns(const LayerContext& ctx, const Tensor& local, const std::vector<int64_t>& widths,
                    const Tensor& full) {
  const Arena::Frame frame(ctx.arena);
  const Tensor shares = ctx.alloc({full.count()});
  ctx.tp->all_gather(local, shares);
  move_columns(ctx, full, shares, column_layout(widths), true);
}

void reduce_scatter_columns(const LayerContext& ctx, const Tensor& partial, const std::vector<int64_t>& widths,
                            const Tensor& local) {
  const Arena::Frame frame(ctx.arena);
  const Tensor shares = ctx.alloc({partial.count()});
  move_columns(ctx, partial, shares, column_layout(widths), false);
  ctx.tp->reduce_scatter_sum(shares, local);
}

void norm_gelu_forward(const LayerContext& ctx, const NormGelu& op, const Tensor& h, const Tensor& a,
                       const Tensor& row_scale) {
  if (whole_rows(ctx, op))
    return ctx.backend.run(ops::NormGeluForward{.options = op, .h = h, .a = a, .row_scale = row_scale});
  const Arena::Frame frame(ctx.arena);
  const Tensor sums = ctx.alloc_wide(row_scale.shape);
  ctx.backend.run(ops::RowSumSquares{.h = h, .sums = sums});
  ctx.tp->all_reduce_sum(sums);
  ctx.backend.run(ops::NormGeluForwardFrom{.options = op, .h = h, .sums = sums, .a = a, .row_scale = row_scale});
}

void norm_gelu_backward(const LayerContext& ctx, const NormGelu& op, const Tensor& da, const Tensor& h,
                        const Tensor& row_scale, const Tensor& dh) {
  if (whole_rows(ctx, op))
    return ctx.backend.run(ops::NormGeluBackward{.options = op, .da = da, .h = h, .row_scale = row_scale, .dh = dh});
  const Arena::Frame frame(ctx.arena);
  const Tensor sums = ctx.alloc_wide(row_scale.shape);
  ctx.backend.run(ops::NormGeluBackwardSums{.options = op, .da = da, .h = h, .row_scale = row_scale, .sums = sums});
  ctx.tp->all_reduce_sum(sums);
  ctx.backend.run(
      ops::NormGeluBackwardFrom{.options = op, .da = da, .h = h, .row_scale = row_scale, .sums = sums, .dh = dh});
}

}  // namespace nexus
