// A model on the CPU with one micro-batch of tokens, in any compute type.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "model/dry_run.h"
#include "model/model.h"
#include "support/host_tensors.h"

namespace nexus::testing {

class ModelRig {
 public:
  explicit ModelRig(const ModelConfig& config, DType compute = DType::kF64, int64_t batch = 2, int64_t context = 5,
                    Recompute recompute = Recompute::kNone)
      : model_(config),
        backend_(make_cpu_backend(1)),
        params_(*backend_, model_.table(), compute),
        batch_(batch),
        context_(context),
        recompute_(recompute),
        tokens_(random_tokens("tokens", batch * context, model_.config().vocab)),
        targets_(random_tokens("targets", batch * context, model_.config().vocab)),
        losses_(host_buffer(batch * context * size_of(params_.wide_dtype()))) {
    draw_lively(params_);
    params_.zero_grad();
    int64_t bytes = 0;
    for (const ModelUse use : {ModelUse::kTraining, ModelUse::kEvaluation, ModelUse::kLogits})
      bytes = std::max(bytes, dry_run(config, compute, batch, context, use, {}, recompute).arena_bytes);
    arena_ = poisoned_arena(bytes);
  }

  Model& model() { return model_; }
  ParamStore& params() { return params_; }
  Arena& arena() { return arena_; }
  std::vector<int32_t>& tokens() { return tokens_; }
  std::vector<int32_t>& targets() { return targets_; }
  int64_t rows() const { return batch_ * context_; }
  LayerContext context() {
    return {*backend_, arena_, params_, batch_, context_, Pass::kTraining, nullptr, recompute_};
  }

  Tensor losses_view() { return losses_.tensor(params_.wide_dtype(), {rows()}); }
  void forward_backward(double grad_scale = 1.0, const Model::GradsReady& ready = {}) {
    model_.forward_backward(context(), view_of(tokens_), view_of(targets_), grad_scale, losses_view(), ready);
  }
  void evaluate() { model_.evaluate(context(), view_of(tokens_), view_of(targets_), losses_view()); }

  // The losses of the last pass, in f64.
  std::vector<double> losses() { return wide_values(losses_view()); }
  double loss_sum() {
    double sum = 0;
    for (const double loss : losses()) sum += loss;
    return sum;
  }
  // [rows, V], in f64.
  std::vector<double> logits() {
    const Shape shape{rows(), model_.config().vocab};
    const Buffer memory = host_buffer(shape.count() * size_of(params_.wide_dtype()));
    const Tensor out = memory.tensor(params_.wide_dtype(), shape);
    model_.logits(context(), view_of(tokens_), out);
    return wide_values(out);
  }
  std::vector<double> gradients() { return wide_values(params_.grad()); }

  static std::vector<double> wide_values(const Tensor& x) {
    if (x.dtype == DType::kF64) return {x.as<double>(), x.as<double>() + x.count()};
    return {x.as<float>(), x.as<float>() + x.count()};
  }

 private:
  Model model_;
  std::unique_ptr<Backend> backend_;
  ParamStore params_;
  Arena arena_;
  int64_t batch_, context_;
  Recompute recompute_;
  std::vector<int32_t> tokens_, targets_;
  Buffer losses_;
};

}  // namespace nexus::testing
