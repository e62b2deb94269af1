// How transformers names a model: configuration, classes and tensors (docs/interchange.md).
//
// A transformer that Llama computes exactly is written as one. Every other model keeps the names of its tensors and
// brings its own code, modeling_nexus.py.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "train/train_state.h"

namespace nexus {

extern const char* const kModelingPython;

// Whether transformers' LlamaForCausalLM computes this model.
bool is_llama(const ModelConfig& config);

// What stands for a tensor of the parameter table in model.safetensors.
std::string hf_tensor_name(const ModelConfig& config, const std::string& name);

// Ids of a tokenizer that a folder carries; -1: it has none.
struct SpecialIds {
  int32_t bos = -1, eos = -1;
};

// What a folder says of the run beside its state.
struct StateOrigin {
  std::string run_id;
  int64_t context = 0;  // tokens of the windows that it was trained on; 0: not known
};

// config.json.
nlohmann::ordered_json hf_config(const TrainState& state, const StateOrigin& origin, const std::string& dtype,
                                 const std::optional<SpecialIds>& ids);

// The state that a checkpoint of such a folder has: model, norm scales and, where nexus wrote it, its account; no
// update is counted. `where` is config.json. Throws ErrorKind::kCheckpoint naming the field that nexus cannot compute.
TrainState state_from_hf(const nlohmann::json& config, const std::string& where);

}  // namespace nexus
