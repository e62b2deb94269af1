// What the step loop needs to know beside the model and the data: plain options (docs/configuration.md).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "layers/recompute.h"
#include "tensor/dtype.h"

namespace nexus {

struct BatchSpec {
  int64_t global_tokens = 1 << 20;  // tokens of one optimizer step over all ranks
  int64_t micro = 16;               // sequences per rank and micro-batch
};

struct OptimizerSpec {
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double weight_decay = 0.1;
  double clip = 1.0;                       // maximum global gradient norm; 0 is no clipping
  std::map<std::string, double> lr_scale;  // factors on the rate, by role (params/param_table.h); 1 where none is given
};

struct ParallelSpec {
  int dp = 0;  // 0: auto
  int tp = 1;
  bool zero = true;      // ZeRO-1: optimizer state sharded over dp
  bool sequence = true;  // the residual stream's rows are split over tp
};

struct PrecisionSpec {
  DType compute = DType::kF32;
  bool deterministic = false;  // GPU: no choice of kernels by time, no atomic sums; the CPU always repeats its bits
  Recompute recompute = Recompute::kNone;
};

// How often something happens; nothing: never.
struct Period {
  enum class Unit { kNever, kSeconds, kTokens, kSteps } unit = Unit::kNever;
  double value = 0;
  // True where this period ends within (before, after] of its unit's count. Not for seconds, which need a clock.
  bool due(int64_t steps_before, int64_t steps_after, int64_t tokens_before, int64_t tokens_after) const;
};

struct CheckpointSpec {
  Period every{Period::Unit::kSeconds, 1800};
  int keep_last = 2;
  Period keep_every;  // kept for ever at this period (tokens or steps)
  bool async = true;  // steps go on while a copy of the state is written
};

struct EvalSpec {
  Period every;                                             // besides the first step and the end of each stage
  int64_t max_tokens = 0;                                   // 0: the whole validation file
  std::vector<std::string> evaluations{"validation_loss"};  // by name (train/evaluation.h); the first always runs
  std::vector<std::string> tasks;                           // names of tasks or task files (campaign/task_evaluation.h)
  Period tasks_every;                                       // besides the end of each stage
  std::string tasks_data;                                   // folder of their files
  int64_t tasks_limit = 0;                                  // items of each; 0: all
};

struct LoggingSpec {
  bool tensorboard = false;  // event files in RUN/tensorboard, beside the records
};

enum class NonfiniteAction { kStop, kSkip };  // stop with exit code 4, or skip the update and go on

struct WatchdogSpec {
  double start_seconds = 600, step_seconds = 300;  // without a sign of life, before and after the first step; 0: never
};

struct SafetySpec {
  NonfiniteAction nonfinite = NonfiniteAction::kStop;
  WatchdogSpec watchdog;
  int64_t replica_check = 1000;  // steps between comparisons of what ranks hold in common; 0: only before saves
};

struct AccountSpec {
  std::string flops_def = "gemm_causal";     // accounting/flops.h
  std::optional<double> peak_tflops;         // per rank; nothing: MFU is not shown
  std::optional<double> watts_per_gpu;       // mean draw of one rank with its share of the node; nothing: no energy
  double pue = 1.0;                          // the hall's draw over the machines'
  std::optional<double> price_per_gpu_hour;  // nothing: no money
};

}  // namespace nexus
