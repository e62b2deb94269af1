// A model on the CPU with one micro-batch of tokens, in any compute type.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "model/dry_run.h"
#include "model/model.h"
#include "support/host_tensors.h"
#include "support/text_batch.h"

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
        data_(text_batch(model_.config().count("V"), batch, context)),
        losses_(host_buffer(batch * context * size_of(params_.wide_dtype()))) {
    draw_lively(params_);
    params_.zero_grad();
    int64_t bytes = 0;
    for (const ModelUse use : {ModelUse::kTraining, ModelUse::kEvaluation, ModelUse::kPrediction})
      bytes = std::max(bytes, dry_run(config, compute, batch, context, use, {}, recompute).arena_bytes);
    arena_ = poisoned_arena(bytes);
  }

  Model& model() { return model_; }
  ParamStore& params() { return params_; }
  Arena& arena() { return arena_; }
  std::span<int32_t> tokens() { return field("tokens"); }
  std::span<int32_t> targets() { return field("targets"); }
  const Batch& batch() const { return data_.batch(); }
  int64_t rows() const { return batch_ * context_; }
  LayerContext context() {
    return {*backend_, arena_, params_, batch_, context_, Pass::kTraining, nullptr, recompute_};
  }

  Tensor losses_view() { return losses_.tensor(params_.wide_dtype(), {batch_, context_}); }
  void forward_backward(double grad_scale = 1.0, const Model::GradsReady& ready = {}) {
    model_.forward_backward(context(), data_.batch(), grad_scale, losses_view(), ready);
  }
  void evaluate() { model_.evaluate(context(), data_.batch(), losses_view()); }

  // The losses of the last pass, in f64.
  std::vector<double> losses() { return wide_values(losses_view()); }
  double loss_sum() {
    double sum = 0;
    for (const double loss : losses()) sum += loss;
    return sum;
  }
  // [rows, V], in f64.
  std::vector<double> logits() {
    const Shape shape{batch_, model_.predictions_per_sample(context_)};
    const Buffer memory = host_buffer(shape.count() * size_of(params_.wide_dtype()));
    const Tensor out = memory.tensor(params_.wide_dtype(), shape);
    model_.predict(context(), data_.batch(), out);
    return wide_values(out);
  }
  std::vector<double> gradients() { return wide_values(params_.grad()); }

  static std::vector<double> wide_values(const Tensor& x) {
    if (x.dtype == DType::kF64) return {x.as<double>(), x.as<double>() + x.count()};
    return {x.as<float>(), x.as<float>() + x.count()};
  }

 private:
  std::span<int32_t> field(const std::string& name) {
    const Tensor& tensor = data_.batch().at(name);
    return {tensor.as<int32_t>(), static_cast<size_t>(tensor.count())};
  }

  Model model_;
  std::unique_ptr<Backend> backend_;
  ParamStore params_;
  Arena arena_;
  int64_t batch_, context_;
  Recompute recompute_;
  HostBatch data_;
  Buffer losses_;
};

}  // namespace nexus::testing
