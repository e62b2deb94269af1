// One optimizer step: micro-batches, the exchange between ranks, clipping, AdamW.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "comm/process_grid.h"
#include "model/model.h"
#include "optim/optimizer.h"
#include "spec/batch_layout.h"
#include "train/gradient_exchange.h"
#include "train/stop_requests.h"

namespace nexus {

struct StepInput {
  int64_t first_sample = 0;
  double learning_rate = 0, newest_learning_rate = 0;
  // This rank's requests, asked for just before the step's one small reduction, in which the ranks agree on them.
  std::function<Requests()> poll;
};

struct StepOutput {
  double loss = 0;                  // mean of the global batch's losses
  double grad_norm = 0;             // before clipping
  bool updated = true;              // false: not finite and skipped
  bool stop = false, save = false;  // requested on some rank
  double data_seconds = 0;
};

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
  double losses() const { return static_cast<double>(layout_.samples() * losses_per_sample_); }  // of the global batch
  std::string first_nonfinite_gradient();
  StepOutput refuse_update(StepOutput output);

  Backend& backend_;
  ProcessGrid& grid_;
  Model& model_;
  ParamStore& params_;
  BatchLayout layout_;
  SafetySpec safety_;
  Recompute recompute_;
  int64_t losses_per_sample_;
  Arena arena_;
  HostBatch host_batch_;
  Buffer facts_buffer_;
  Tensor facts_;      // f64 [2], read by the host in one copy:
  Tensor loss_sum_;   // [0], of the step under way
  Tensor nonfinite_;  // [1], 1 once an update has left something that is not finite
  GradientExchange exchange_;
  double data_seconds_ = 0;
};

}  // namespace nexus
