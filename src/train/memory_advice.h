// The large buffer of a stage besides the parameters, and what would fit where a device has no room for it.
//
// Training and evaluation share it: they take turns, and a run that has begun meets no evaluation that does not fit.
// A device that is full answers `Backend::allocate` with ErrorKind::kConfig. The error that leaves here says in its
// cure which settings would fit, by dry runs against the memory that is free; on a host, whose memory nobody limits,
// the error stays as it is.
#pragma once

#include "backend/backend.h"
#include "layers/recompute.h"
#include "train/step.h"

namespace nexus {

// A micro-batch as a stage runs it.
struct MicroBatchSpec {
  const ModelConfig& config;
  DType compute = DType::kF32;
  BatchLayout layout;
  Sharding sharding;
  StepOptions options;
};

// The arena of a StepRunner. What is advised has room for the workspaces that the device takes in the first step, too.
Buffer allocate_activations(Backend& backend, const MicroBatchSpec& spec);

// Its exact bytes: those of a training micro-batch, or of an evaluation's where a stage evaluates and that is larger.
int64_t activations_bytes(const MicroBatchSpec& spec);

// Exact bytes of an evaluation micro-batch (train/evaluation.h).
int64_t evaluation_bytes(const MicroBatchSpec& spec);

}  // namespace nexus
