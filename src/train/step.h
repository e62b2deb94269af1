// One optimizer step: micro-batches, the exchange between ranks, clipping, AdamW.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "comm/process_grid.h"
#include "model/model.h"
#include "optim/optimizer.h"
#include "train/gradient_exchange.h"
#include "train/stop_requests.h"
#include "train/train_options.h"

namespace nexus {

// How a global batch falls apart: accumulation * dp * micro sequences of `context` tokens.
struct BatchLayout {
  int64_t context = 0, micro = 0, accumulation = 0;
  int dp_rank = 0, dp_size = 1;

  int64_t samples() const { return accumulation * dp_size * micro; }
  int64_t tokens() const { return samples() * context; }
  // Global sample of sequence `row` of micro-batch `index` on this rank, from the step's first one. Which rank reads
  // which sample depends on the grid; the set of samples in a step does not.
  int64_t sample(int64_t first, int64_t index, int64_t row) const {
    return first + (index * dp_size + dp_rank) * micro + row;
  }
};

// Throws ErrorKind::kConfig, with the nearest sizes that fit, where global_tokens does not divide.
BatchLayout make_batch_layout(const BatchSpec& batch, int64_t context, int dp_rank, int dp_size);

struct StepInput {
  int64_t first_sample = 0;
  double learning_rate = 0, newest_learning_rate = 0;
  // This rank's requests, asked for just before the step's one small reduction, in which the ranks agree on them.
  std::function<Requests()> poll;
};

struct StepOutput {
  double loss = 0;                  // mean nats per token of the global batch
  double grad_norm = 0;             // before clipping
  bool updated = true;              // false: not finite and skipped
  bool stop = false, save = false;  // requested on some rank
  double data_seconds = 0;
};

// Writes the tokens and the targets of a global sample, `context` each.
using FetchSample = std::function<void(int64_t sample, int32_t* tokens, int32_t* targets)>;

struct StepOptions {
  Recompute recompute = Recompute::kNone;
  bool deterministic = false;  // how the device was opened; its workspaces count where it has no room for a micro-batch
  bool evaluates = false;      // evaluations borrow the arena, which has room for theirs, too (train/evaluation.h)
};

class StepRunner {
 public:
  // Throws ErrorKind::kConfig where a micro-batch does not fit into the device, with settings that would.
  StepRunner(Backend& backend, ProcessGrid& grid, Model& model, ParamStore& params, const BatchLayout& layout,
             const SafetySpec& safety, const StepOptions& options = {});

  // Throws ErrorKind::kNumeric on every rank: before the update where loss or gradients are not finite (unless
  // safety.nonfinite is skip), and where the update before this one has left such weights or moments.
  StepOutput run(const FetchSample& fetch, Optimizer& optimizer, const StepInput& input);
  // Collective: the same for what the last update has left, before anybody else looks at it.
  void require_finite_state();

  // Exact bytes of activations and scratch of one training micro-batch, from a dry run (no memory is touched).
  static int64_t arena_bytes(const ModelConfig& config, DType compute, const BatchLayout& layout,
                             const Sharding& sharding = {}, Recompute recompute = Recompute::kNone);
  int64_t arena_peak_bytes() const { return arena_.peak_bytes(); }
  // Empty between steps, and lent then: whoever borrows it must leave it empty.
  Arena& arena() { return arena_; }

 private:
  void micro_batch(const FetchSample& fetch, const StepInput& input, int64_t index);
  std::string first_nonfinite_gradient();
  StepOutput refuse_update(StepOutput output);

  Backend& backend_;
  ProcessGrid& grid_;
  Model& model_;
  ParamStore& params_;
  BatchLayout layout_;
  SafetySpec safety_;
  Recompute recompute_;
  Arena arena_;
  Buffer host_batch_;
  Buffer facts_buffer_;
  Tensor facts_;      // f64 [2], read by the host in one copy:
  Tensor loss_sum_;   // [0], of the step under way
  Tensor nonfinite_;  // [1], 1 once an update has left something that is not finite
  GradientExchange exchange_;
  double data_seconds_ = 0;
};

}  // namespace nexus
