// A checkpoint of a text model, as commands open it that ask the model something, and what the run knows that it lies
// in.
#pragma once

#include <cstdint>
#include <string>

#include "checkpoint/checkpoint.h"
#include "params/param_store.h"
#include "train/checkpoint_io.h"
#include "workloads/text/tokenizer.h"

namespace nexus {

struct TextCheckpoint {
  std::string path;
  Checkpoint checkpoint;
  TrainState state;
  // Of the run; empty and 0 where the checkpoint has left it.
  std::string run_tokenizer, valid;
  int64_t run_context = 0;
  DType compute = DType::kF32;  // of the run, else as stored
  bool deterministic = false;
};

// Throws ErrorKind::kConfig where the model is not one of text.
TextCheckpoint open_text_checkpoint(const std::string& path);
// The file `told` (--tokenizer), else the run's. Throws ErrorKind::kConfig where neither is there, or it is not the
// model's.
Tokenizer open_tokenizer(const TextCheckpoint& of, const std::string& told);
// Tokens that the model reads: `told` (--context), else as trained. Throws ErrorKind::kConfig where neither is known.
int64_t context_length(const TextCheckpoint& of, int64_t told);
// Weights, and what else the layers compute with. Collective.
void load_weights(const TextCheckpoint& of, ParamStore& params);

}  // namespace nexus
