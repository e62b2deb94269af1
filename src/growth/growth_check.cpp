// The proof of a growth on real data: same logits, and every new block able to move.
#include <algorithm>
#include <cmath>

#include "growth/grow.h"
#include "model/dry_run.h"

namespace nexus {
namespace {

// A copy of `params` for checking: computes in f32, or f64 where the original does.
ParamStore checking_store(const ParamStore& params, const ParamTable& table, ParamStore::Use use) {
  const DType compute = params.compute_dtype() == DType::kF64 ? DType::kF64 : DType::kF32;
  ParamStore copy(params.backend(), table, compute, use);
  params.backend().copy(params.master(), copy.master());
  copy.refresh_compute();
  return copy;
}

std::vector<double> host_values(Backend& backend, const Tensor& tensor) {
  std::vector<double> values(static_cast<size_t>(tensor.count()));
  if (tensor.dtype == DType::kF64) {
    backend.copy_out(values.data(), tensor);
    return values;
  }
  std::vector<float> narrow(values.size());
  backend.copy_out(narrow.data(), tensor);
  std::copy(narrow.begin(), narrow.end(), values.begin());
  return values;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// Memory and inputs of one batch on a model. Sequences are taken one at a time so that the logits of a large vocabulary
// fit.
class Probe {
 public:
  Probe(Model& model, ParamStore& params, const GrowthBatch& batch)
      : model_(model), params_(params), batch_(batch), arena_(make_arena()) {}

  std::vector<double> logits(int64_t sequence) {
    return run(sequence, [&](LayerContext& ctx, const Tensor& tokens, const Tensor&) {
      const Tensor out = ctx.alloc_wide({batch_.context, params_.table()[0].axes[0].extent});
      model_.logits(ctx, tokens, out);
      return host_values(params_.backend(), out);
    });
  }

  std::vector<double> losses(int64_t sequence) {
    return run(sequence, [&](LayerContext& ctx, const Tensor& tokens, const Tensor& targets) {
      const Tensor out = ctx.alloc_wide({batch_.context});
      model_.evaluate(ctx, tokens, targets, out);
      return host_values(params_.backend(), out);
    });
  }

  void add_gradients(int64_t sequence) {
    run(sequence, [&](LayerContext& ctx, const Tensor& tokens, const Tensor& targets) {
      const Tensor out = ctx.alloc_wide({batch_.context});
      const auto scale = static_cast<float>(1.0 / static_cast<double>(batch_.context * batch_.sequences));
      model_.forward_backward(ctx, tokens, targets, scale, out, {});
      return std::vector<double>{};
    });
  }

 private:
  template <typename Body>
  std::vector<double> run(int64_t sequence, Body body) {
    const Arena::Frame frame(arena_);
    const Tensor tokens = arena_.alloc(DType::kI32, {batch_.context}),
                 targets = arena_.alloc(DType::kI32, {batch_.context});
    params_.backend().copy_in(tokens, batch_.tokens.data() + sequence * batch_.context);
    params_.backend().copy_in(targets, batch_.targets.data() + sequence * batch_.context);
    LayerContext ctx{params_.backend(), arena_, params_, 1, batch_.context};
    return body(ctx, tokens, targets);
  }

  Arena make_arena() {
    const bool trains = params_.grad().defined();
    const int64_t vocab = params_.table()[0].axes[0].extent;
    Arena inputs;
    for (int i = 0; i < 3; ++i) inputs.alloc(params_.wide_dtype(), {batch_.context});
    inputs.alloc(params_.wide_dtype(), {batch_.context, vocab});
    const ModelUse use = trains ? ModelUse::kTraining : ModelUse::kLogits;
    auto bytes_of = [&](ModelUse u) {
      return dry_run(model_.config(), params_.compute_dtype(), 1, batch_.context, u).arena_bytes;
    };
    return Arena(
        params_.backend().allocate(inputs.peak_bytes() + std::max(bytes_of(use), bytes_of(ModelUse::kEvaluation))));
  }

  Model& model_;
  ParamStore& params_;
  const GrowthBatch& batch_;
  Arena arena_;
};

void compare_functions(Probe& before, Probe& after, const GrowthBatch& batch, GrowthCheck& check) {
  double largest = 0;
  for (int64_t s = 0; s < batch.sequences; ++s) {
    const std::vector<double> a = before.logits(s), b = after.logits(s);
    for (size_t i = 0; i < a.size(); ++i) {
      const double delta = std::abs(a[i] - b[i]);
      // A NaN must fail the check, and max would lose it.
      check.max_abs_dlogit = std::isfinite(delta) ? std::max(check.max_abs_dlogit, delta) : INFINITY;
      largest = std::max(largest, std::abs(a[i]));
    }
    check.loss_before += mean(before.losses(s)) / static_cast<double>(batch.sequences);
    check.loss_after += mean(after.losses(s)) / static_cast<double>(batch.sequences);
  }
  check.relative_dlogit = check.max_abs_dlogit / std::max(largest, 1e-30);
}

// Two updates: the first moves the zero entries off zero, which gives the random ones of the same channels a gradient.
void count_movement(Model& model, ParamStore& params, const std::vector<GrowthMove>& moves, const GrowthBatch& batch,
                    double learning_rate, GrowthCheck& check) {
  const std::vector<double> start = host_values(params.backend(), params.master());
  std::vector<bool> moved(start.size(), false);
  const Buffer norm = params.backend().allocate(size_of(DType::kF64));
  const Tensor sum_squares = norm.tensor(DType::kF64, {1});
  Probe probe(model, params, batch);
  Optimizer optimizer(AdamW{}, 0.0, {first_generation(model.config())});
  for (int update = 0; update < 2; ++update) {
    params.zero_grad();
    for (int64_t s = 0; s < batch.sequences; ++s) probe.add_gradients(s);
    params.backend().sum_squares(params.grad(), sum_squares);
    optimizer.step(params, sum_squares, learning_rate, learning_rate);
    const std::vector<double> now = host_values(params.backend(), params.master());
    for (size_t i = 0; i < now.size(); ++i) moved[i] = moved[i] || now[i] != start[i];  // the second may undo the first
  }
  for (const GrowthMove& move : moves) {
    if (move.fill == Fill::kCopy) continue;
    const ParamSpec& spec = params.table()[move.to];
    const int64_t columns = spec.axes.back().extent;
    int64_t unmoved = 0;
    for (int64_t r = move.row_begin; r < move.row_end; ++r)
      for (int64_t c = move.column_begin; c < move.column_end; ++c) {
        const auto i = static_cast<size_t>(spec.offset + r * columns + c);
        if (!moved[i]) ++unmoved;
      }
    check.new_params += move.count();
    check.unmoved_params += unmoved;
    if (unmoved < move.count()) continue;
    check.dead_params += unmoved;
    check.dead_blocks.push_back(move.block);
  }
}

}  // namespace

GrowthCheck check_growth(const ModelConfig& old_config, const ParamStore& old_params, const ModelConfig& new_config,
                         const ParamStore& new_params, const std::vector<GrowthMove>& moves, const GrowthBatch& batch,
                         double learning_rate) {
  GrowthCheck check;
  Model old_model(old_config), new_model(new_config);
  {
    ParamStore before = checking_store(old_params, old_model.table(), ParamStore::Use::kInference);
    ParamStore after = checking_store(new_params, new_model.table(), ParamStore::Use::kInference);
    check.tolerance = after.compute_dtype() == DType::kF64 ? 1e-12 : 2e-6;
    Probe probe_before(old_model, before, batch), probe_after(new_model, after, batch);
    compare_functions(probe_before, probe_after, batch, check);
  }
  ParamStore copy = checking_store(new_params, new_model.table(), ParamStore::Use::kTraining);
  count_movement(new_model, copy, moves, batch, learning_rate, check);
  return check;
}

}  // namespace nexus
