// The two large buffers of a stage besides the parameters, and what would fit where a device has no room for them.
//
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
  Recompute recompute = Recompute::kNone;
};

// The arena of a StepRunner. What is advised has room for the evaluation's arena and the device's workspaces, too:
// those come later.
Buffer allocate_activations(Backend& backend, const MicroBatchSpec& spec);

// The arena of an evaluation (train/evaluate.h), which comes beside that of the StepRunner.
Buffer allocate_evaluation(Backend& backend, const MicroBatchSpec& spec);

// Its exact bytes.
int64_t evaluation_bytes(const MicroBatchSpec& spec);

}  // namespace nexus
