// A small model on a grid of ranks, trained on synthetic text: what the tests of parallelism compare with one rank.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "core/rng.h"
#include "growth/grow.h"
#include "params/replication.h"
#include "support/device.h"
#include "support/grid_models.h"
#include "support/host_tensors.h"
#include "support/text_batch.h"
#include "train/step.h"

namespace nexus::testing {

// Samples of one step; they must divide by 2 dp.
inline int64_t samples_per_step = 8;

struct GridOptions {
  DType dtype = DType::kF64;
  bool zero = false, sequence = true;
  bool lively = true;  // weights at which every nonlinearity bends; otherwise the training initialisation
  int64_t context = 12, micro = 2;
  Recompute recompute = Recompute::kNone;
};

class GridRig {
 public:
  GridRig(ProcessGrid& grid, const ModelConfig& config, const GridOptions& options)
      : grid_(grid),
        options_(options),
        backend_(device()),
        model_(config, sharding_of(grid, options.zero, options.sequence)),
        params_(backend_, model_.table(), options.dtype),
        layout_(make_batch_layout({samples_per_step * options.context, options.micro}, options.context, grid.dp_rank(),
                                  grid.dp_size())),
        runner_(backend_, grid, model_, params_, layout_, {}, {options.recompute}),
        optimizer_(adamw(), 0.1, {first_generation(model_.config())}) {
    params_.initialize(9);
    if (options.lively) draw_lively(params_);
  }

  StepOutput step(double learning_rate) {
    const auto fetch = [this](int64_t sample, const Batch& batch, int64_t row) {
      int32_t *tokens = text_row(batch, "tokens", row), *targets = text_row(batch, "targets", row);
      const RandomStream random(3, "text");
      const auto vocab = static_cast<int32_t>(model_.config().count("V"));
      for (int64_t t = 0; t < options_.context; ++t) {
        const auto place = static_cast<uint64_t>(sample * options_.context + t);
        tokens[t] = static_cast<int32_t>(random.below(place, static_cast<uint64_t>(vocab)));
        targets[t] = t == 3 ? -1 : (tokens[t] * 7 + 1) % vocab;  // learnable; some are ignored
      }
    };
    const StepOutput output = runner_.run(fetch, optimizer_, {samples_, learning_rate, learning_rate, {}});
    samples_ += layout_.samples();
    return output;
  }

  // The whole of one tensor, the same on every rank, in f64. Gradients need zero == false.
  std::vector<double> master(int param) {
    return values(gather_tensor(grid_.world(), params_, params_.master(), param));
  }
  std::vector<double> moment1(int param) {
    return values(gather_tensor(grid_.world(), params_, params_.moment1(), param));
  }
  std::vector<double> gradient(int param) {
    return values(gather_tensor(grid_.world(), params_, params_.grad(), param));
  }

  ParamStore& params() { return params_; }
  Model& model() { return model_; }
  const ParamTable& table() const { return model_.table(); }
  Optimizer& optimizer() { return optimizer_; }
  const BatchLayout& layout() const { return layout_; }

 private:
  static AdamW adamw() {
    AdamW op;
    op.clip = 1.0;
    return op;
  }
  std::vector<double> values(const Buffer& whole) const {
    const auto count = whole.size_bytes() / size_of(params_.wide_dtype());
    if (params_.wide_dtype() == DType::kF64) {
      const auto* data = static_cast<const double*>(whole.data());
      return {data, data + count};
    }
    const auto* data = static_cast<const float*>(whole.data());
    return {data, data + count};
  }

  ProcessGrid& grid_;
  GridOptions options_;
  Backend& backend_;
  Model model_;
  ParamStore params_;
  BatchLayout layout_;
  StepRunner runner_;
  Optimizer optimizer_;
  int64_t samples_ = 0;
};

}  // namespace nexus::testing
