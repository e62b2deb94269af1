#include "layers/matrix.h"

#include <cmath>

namespace nexus {

double MatrixInit::std(int64_t in) const {
  return fan_in ? 1.0 / std::sqrt(static_cast<double>(in)) : kPublishedStd;
}

double MatrixInit::branch_end_std(int64_t in) const {
  return fan_in ? std(in) / std::sqrt(2.0 * static_cast<double>(layers)) : kPublishedStd;
}

ParamSpec matrix_spec(std::string name, Axis rows, Axis cols, int shard_axis, double init_std) {
  ParamSpec spec;
  spec.name = std::move(name);
  spec.axes = {rows, cols};
  spec.init_std = init_std;
  spec.shard_axis = shard_axis;
  return spec;
}

Axis fixed_axis(int64_t extent) {
  return {extent, kFixedWidth, AxisRole::kProduces};
}
Axis producing(int64_t extent, const Width& width) {
  return {extent, width, AxisRole::kProduces};
}
Axis consuming(int64_t extent, const Width& width) {
  return {extent, width, AxisRole::kConsumes};
}

StackedMatrix::StackedMatrix(ParamTable& table, const std::vector<ParamSpec>& specs)
    : first_(table.size()), count_(static_cast<int>(specs.size())) {
  for (const ParamSpec& spec : specs) out_width_ += table[table.add(spec)].local.rows;
}

void StackedMatrix::forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) const {
  ctx.backend.run(ops::MatMul{.a = x, .b = Mat(ctx.params.weights(first_, count_)).t(), .c = y});
}

void StackedMatrix::backward(const LayerContext& ctx, const Tensor& dy, const Tensor& x, const Tensor& dx) const {
  ctx.backend.run(ops::MatMul{.a = Mat(dy).t(), .b = x, .c = ctx.params.grads(first_, count_), .beta = 1.0f});
  ctx.backend.run(ops::MatMul{.a = dy, .b = ctx.params.weights(first_, count_), .c = dx});
}

GroupedMatrix::GroupedMatrix(ParamTable& table, const std::vector<ParamSpec>& specs, Layout layout)
    : layout_(layout), groups_(static_cast<int64_t>(specs.size())) {
  for (size_t g = 0; g < specs.size(); ++g) {
    const int param = table.add(specs[g]);
    const Box local = table[param].local;
    const int64_t out = layout == Layout::kOutIn ? local.rows : local.columns;
    in_ = layout == Layout::kOutIn ? local.columns : local.rows;
    if (!runs_.empty() && runs_.back().out == out)
      ++runs_.back().groups;
    else
      runs_.push_back({param, 1, out, static_cast<int64_t>(g) * in_, out_width_});
    out_width_ += out;
  }
}

Mat GroupedMatrix::in_view(const Run& run, const Tensor& x) const {
  const int64_t width = groups_ * in_;
  return Mat::view(x, x.count() / width, in_, width, run.in_begin).batched(run.groups, in_);
}

Mat GroupedMatrix::out_view(const Run& run, const Tensor& y) const {
  return Mat::view(y, y.count() / out_width_, run.out, out_width_, run.out_begin).batched(run.groups, run.out);
}

Mat GroupedMatrix::weight_view(const Run& run, const Tensor& stacked) const {
  const int64_t count = run.out * in_;
  if (layout_ == Layout::kOutIn) return Mat::view(stacked, run.out, in_, in_).batched(run.groups, count);
  return Mat::view(stacked, in_, run.out, run.out).batched(run.groups, count).t();
}

void GroupedMatrix::forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) const {
  for (const Run& run : runs_) {
    const Tensor weights = ctx.params.weights(run.param, static_cast<int>(run.groups));
    ctx.backend.run(ops::MatMul{.a = in_view(run, x), .b = weight_view(run, weights).t(), .c = out_view(run, y)});
  }
}

void GroupedMatrix::backward(const LayerContext& ctx, const Tensor& dy, const Tensor& x, const Tensor& dx) const {
  for (const Run& run : runs_) {
    const int groups = static_cast<int>(run.groups);
    const Mat gradient = weight_view(run, ctx.params.grads(run.param, groups));
    // The result of a product is never transposed, so the [I, O] layout computes the gradient's transpose.
    if (layout_ == Layout::kOutIn)
      ctx.backend.run(ops::MatMul{.a = out_view(run, dy).t(), .b = in_view(run, x), .c = gradient, .beta = 1.0f});
    else
      ctx.backend.run(ops::MatMul{.a = in_view(run, x).t(), .b = out_view(run, dy), .c = gradient.t(), .beta = 1.0f});
    ctx.backend.run(ops::MatMul{
        .a = out_view(run, dy), .b = weight_view(run, ctx.params.weights(run.param, groups)), .c = in_view(run, dx)});
  }
}

}  // namespace nexus
