#include "layers/head.h"

#include <algorithm>

#include "layers/matrix.h"

namespace nexus {
namespace {

// A number of every row, which lies sample by sample.
Tensor by_row(const LayerContext& ctx, const Tensor& of_samples) {
  return of_samples.reshaped({ctx.rows()});
}

ParamSpec head_spec(const std::string& name, int64_t vocab, int64_t d) {
  ParamSpec spec = matrix_spec(name, fixed_axis(vocab), fixed_axis(d), 0, kPublishedStd);
  spec.part = ModelPart::kOutput;
  return spec;
}

}  // namespace

Head::Head(ParamTable& table, const std::string& weight_name, int64_t vocab, int64_t d)
    : weight_(table.add(head_spec(weight_name, vocab, d))) {}

Head::Head(ParamTable& table, int shared_param) : weight_(shared_param) {
  table.add_product(shared_param);
}

BatchFields Head::fields(int64_t positions) const {
  return {{"targets", DType::kI32, {positions}}};
}

int64_t Head::chunk_rows(int64_t rows) {
  constexpr int64_t kLeast = 1024, kParts = 8;
  return std::min(rows, std::max(kLeast, (rows + kParts - 1) / kParts));
}

void Head::cross_entropy(const LayerContext& ctx, const Tensor& logits, const Tensor& targets, const Tensor& losses,
                         double grad_scale) const {
  if (ctx.tp_size() == 1)
    return ctx.backend.run(
        ops::CrossEntropy{.logits = logits, .targets = targets, .losses = losses, .grad_scale = grad_scale});
  const Arena::Frame frame(ctx.arena);
  const int64_t rows = logits.shape[0], first_token = ctx.params.table()[weight_].local.begin_row;
  const Tensor stats = ctx.alloc_wide({rows, 3}), all_stats = ctx.alloc_wide({ctx.tp_size(), rows, 3});
  ctx.backend.run(
      ops::CrossEntropyStats{.logits = logits, .targets = targets, .first_token = first_token, .stats = stats});
  ctx.tp->all_gather(stats, all_stats);
  ctx.backend.run(ops::CrossEntropyFrom{.logits = logits,
                                        .targets = targets,
                                        .first_token = first_token,
                                        .all_stats = all_stats,
                                        .losses = losses,
                                        .grad_scale = grad_scale});
}

void Head::forward_backward(const LayerContext& ctx, const Tensor& x, const Batch& batch, double grad_scale,
                            const Tensor& losses) const {
  const Arena::Frame frame(ctx.arena);
  const Tensor targets = by_row(ctx, batch.at("targets")), row_losses = by_row(ctx, losses);
  const Tensor weight = ctx.params.weight(weight_), dweight = ctx.params.grad(weight_);
  const int64_t chunk = chunk_rows(ctx.rows());
  const Tensor buffer = ctx.alloc({chunk, weight.shape[0]});
  for (int64_t begin = 0; begin < ctx.rows(); begin += chunk) {
    const int64_t rows = std::min(chunk, ctx.rows() - begin);
    const Tensor logits = buffer.rows(0, rows), part = x.rows(begin, rows);
    ctx.backend.run(ops::MatMul{.a = part, .b = Mat(weight).t(), .c = logits});
    cross_entropy(ctx, logits, targets.rows(begin, rows), row_losses.rows(begin, rows), grad_scale);
    ctx.backend.run(ops::MatMul{.a = Mat(logits).t(), .b = part, .c = dweight, .beta = 1.0f});
    ctx.backend.run(ops::MatMul{.a = logits, .b = weight, .c = part});
  }
}

void Head::for_wide_logits(const LayerContext& ctx, const Tensor& x,
                           const std::function<void(int64_t, int64_t, const Tensor&)>& use) const {
  const Arena::Frame frame(ctx.arena);
  const Tensor weight = ctx.params.weight(weight_);
  const int64_t chunk = chunk_rows(ctx.rows());
  const Tensor buffer = ctx.alloc_wide({chunk, weight.shape[0]});
  for (int64_t begin = 0; begin < ctx.rows(); begin += chunk) {
    const int64_t rows = std::min(chunk, ctx.rows() - begin);
    const Tensor logits = buffer.rows(0, rows);
    ctx.backend.run(ops::MatMul{.a = x.rows(begin, rows), .b = Mat(weight).t(), .c = logits});
    use(begin, rows, logits);
  }
}

void Head::evaluate(const LayerContext& ctx, const Tensor& x, const Batch& batch, const Tensor& figures) const {
  const Tensor targets = by_row(ctx, batch.at("targets")), losses = by_row(ctx, figures);
  for_wide_logits(ctx, x, [&](int64_t begin, int64_t rows, const Tensor& logits) {
    cross_entropy(ctx, logits, targets.rows(begin, rows), losses.rows(begin, rows), 0.0);
  });
}

void Head::softmax_statistics(const LayerContext& ctx, const Tensor& x, const Batch& batch, const Tensor& out) const {
  const Arena::Frame frame(ctx.arena);
  const Tensor targets = by_row(ctx, batch.at("targets"));
  const Tensor mine = ctx.tp_size() == 1 ? out.reshaped({ctx.rows(), 3}) : ctx.alloc_wide({ctx.rows(), 3});
  for_wide_logits(ctx, x, [&](int64_t begin, int64_t rows, const Tensor& logits) {
    ctx.backend.run(ops::CrossEntropyStats{.logits = logits,
                                           .targets = targets.rows(begin, rows),
                                           .first_token = ctx.params.table()[weight_].local.begin_row,
                                           .stats = mine.rows(begin, rows)});
  });
  if (ctx.tp_size() > 1) ctx.tp->all_gather(mine, out);
}

int64_t Head::predictions_per_sample(const ParamTable& table, int64_t positions) const {
  return positions * table[weight_].local.rows;
}

void Head::predict(const LayerContext& ctx, const Tensor& x, const Batch&, const Tensor& out) const {
  const Tensor weight = ctx.params.weight(weight_);
  ctx.backend.run(ops::MatMul{.a = x, .b = Mat(weight).t(), .c = out.reshaped({ctx.rows(), weight.shape[0]})});
}

}  // namespace nexus
