// A checkpoint as a folder that transformers loads (docs/interchange.md).
#pragma once

#include <string>

#include "checkpoint/checkpoint.h"
#include "tensor/dtype.h"

namespace nexus {

struct HfExport {
  std::string folder;         // made here: config.json, model.safetensors, tokenizer and the rest
  DType dtype = DType::kF32;  // of the weights: f32 or bf16; f64 is rounded
  std::string tokenizer;      // its file; empty: the one that the run names, if it is still that one
};

struct HfExported {
  int64_t parameters = 0, size_bytes = 0;
  std::string model_class;  // LlamaForCausalLM, NexusForCausalLM
  std::string tokenizer;    // its file in the folder; empty: there is none
};

// All files come into being at once, under a temporary name. Throws ErrorKind::kConfig for a folder that exists, a mask
// that is half open, a model that is not of text; kData for another tokenizer than the checkpoint's; kNumeric for
// values that are not finite; kCheckpoint, kIo.
HfExported export_hf(const Checkpoint& checkpoint, const HfExport& options);

}  // namespace nexus
