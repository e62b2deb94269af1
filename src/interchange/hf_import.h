// A folder of transformers as a checkpoint that `init_from` trains on (docs/interchange.md).
#pragma once

#include <string>

#include "checkpoint/checkpoint.h"
#include "model/model_config.h"

namespace nexus {

struct HfImported {
  SaveResult saved;
  ModelConfig model;
  int64_t parameters = 0;
};

// Reads config.json and the safetensors (one file, or those of an index) of `folder` and writes
// OUT/checkpoints/imported/0000000: f32 weights, moments that are zero, no updates. Throws ErrorKind::kCheckpoint for
// files that are damaged or of a model that nexus does not compute, naming field or tensor; kNumeric for values that
// are not finite; kIo.
HfImported import_hf(const std::string& folder, const std::string& out);

}  // namespace nexus
