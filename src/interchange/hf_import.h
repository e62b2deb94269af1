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
  std::string tokenizer;  // its copy; empty: the folder has none that nexus reads
};

// Reads config.json and the safetensors (one file, or those of an index) of `folder` and writes
// OUT/checkpoints/imported/0000000: f32 weights, moments that are zero, no updates. The folder's tokenizer is copied to
// OUT as it is, under its name; where the folder does not say which tokenizer the model was trained with, it is that.
// Throws ErrorKind::kCheckpoint for files that are damaged or of a model that nexus does not compute, naming field or
// tensor; kNumeric for values that are not finite; kIo.
HfImported import_hf(const std::string& folder, const std::string& out);

}  // namespace nexus
