// A model on any back end with one micro-batch of tokens; everything comes back as doubles on the host.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "layers/device_batch.h"
#include "model/dry_run.h"
#include "model/model.h"
#include "support/host_tensors.h"
#include "support/text_batch.h"

namespace nexus::testing {

class AnyModelRig {
 public:
  AnyModelRig(Backend& backend, const ModelConfig& config, DType compute, int64_t batch, int64_t context)
      : backend_(backend), model_(config), params_(backend, model_.table(), compute), batch_(batch), context_(context) {
    draw_lively(params_);
    params_.zero_grad();
    Arena sizes;
    alloc_batch(sizes, model_.batch_fields(context), batch);
    sizes.alloc(params_.wide_dtype(), {batch, context});
    sizes.alloc(params_.wide_dtype(), {batch, model_.predictions_per_sample(context)});
    int64_t bytes = 0;
    for (const ModelUse use : {ModelUse::kTraining, ModelUse::kEvaluation, ModelUse::kPrediction})
      bytes = std::max(bytes, dry_run(model_.config(), compute, batch, context, use).arena_bytes);
    arena_ = Arena(backend.allocate(bytes + sizes.peak_bytes(), "a test's micro-batch"));
    data_ = alloc_batch(arena_, model_.batch_fields(context), batch);
    losses_ = arena_.alloc(params_.wide_dtype(), {batch, context});
    const HostBatch host = text_batch(model_.config().count("V"), batch, context);
    host.batch().at("targets").as<int32_t>()[rows() / 2] = -1;
    copy_in(backend, host.batch(), data_);
  }

  int64_t rows() const { return batch_ * context_; }
  const ParamTable& table() const { return model_.table(); }
  ParamStore& params() { return params_; }

  void forward_backward() { model_.forward_backward(context(), data_, 1.0f / static_cast<float>(rows()), losses_); }
  std::vector<double> losses() { return values(losses_); }
  std::vector<double> gradient(int param) { return values(params_.grad(param)); }
  std::vector<double> evaluated_losses() {
    model_.evaluate(context(), data_, losses_);
    return values(losses_);
  }
  std::vector<double> logits() {
    const Arena::Frame frame(arena_);
    const Tensor out = arena_.alloc(params_.wide_dtype(), {batch_, model_.predictions_per_sample(context_)});
    model_.predict(context(), data_, out);
    return values(out);
  }

  std::vector<double> values(const Tensor& x) {
    if (x.dtype == DType::kF64) {
      std::vector<double> wide(static_cast<size_t>(x.count()));
      backend_.copy_out(wide.data(), x);
      return wide;
    }
    std::vector<float> narrow(static_cast<size_t>(x.count()));
    backend_.copy_out(narrow.data(), x);
    return {narrow.begin(), narrow.end()};
  }

 private:
  LayerContext context() { return {backend_, arena_, params_, batch_, context_}; }

  Backend& backend_;
  Model model_;
  ParamStore params_;
  Arena arena_;
  int64_t batch_, context_;
  Batch data_;
  Tensor losses_;
};

// ||a - b|| / ||b||; NaN is infinitely far.
inline double relative_distance(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  const double distance = std::sqrt(difference / std::max(size, 1e-300));
  return std::isfinite(distance) ? distance : INFINITY;
}

}  // namespace nexus::testing
