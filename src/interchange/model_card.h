// README.md of an exported folder: what the model is and where it comes from, as the run's records say.
#pragma once

#include <optional>
#include <string>

#include "checkpoint/checkpoint.h"
#include "records/eval_record.h"
#include "train/train_state.h"

namespace nexus {

struct ModelCard {
  CheckpointId id;
  const TrainState& state;
  int64_t parameters = 0, context = 0;  // context 0: not known
  std::string dtype, model_class;
  std::string tokenizer;                 // its file in the folder; empty: there is none
  std::optional<EvalRecord> evaluation;  // of this very step
};

std::string model_card_text(const ModelCard& card);

}  // namespace nexus
