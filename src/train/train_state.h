// Where a run stands: what a checkpoint's state.json holds beside the tensors, and nothing that could be recomputed.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/data_identity.h"
#include "model/model_config.h"
#include "optim/optimizer.h"

namespace nexus {

// Compute of one stage in the committed lineage: steps that a crash threw away count in no account.
struct StageAccount {
  std::string stage;
  int64_t tokens = 0;
  double flops = 0;         // by the state's definition
  double seconds = 0;       // wall clock inside steps, evaluations and saves
  double rank_seconds = 0;  // seconds times ranks
};

struct TrainState {
  int64_t stage_index = 0;  // stage under way; its name is stages.back().stage
  int64_t step = 0;         // steps of it that are done
  int64_t samples = 0;      // global sample cursor: the next sample to read, counted over the whole lineage
  uint64_t seed = 0;
  std::string data_digest;    // Sampler::index_digest of the training data
  DataIdentity data;          // what the files hold: another text must not slip in. Empty in older checkpoints
  bool eval_pending = false;  // the evaluation of this step was put off by a request to stop
  ModelConfig model;
  std::vector<Generation> generations;
  NormScales norm_scales;        // of the stores' norms
  GrowthMasks growth_masks;      // of the stores' new channels, until they are open
  int64_t inherited_tokens = 0;  // of ancestors through init_from
  double inherited_flops = 0;
  std::string flops_def;  // by which all FLOPs are counted (accounting/flops.h); empty: an older nexus did not say
  std::vector<StageAccount> stages;  // finished ones and the one under way
  // What determined the numbers of each of `stages` (configuration key -> value): finished stages are frozen.
  std::vector<std::map<std::string, std::string>> stage_numerics;

  const std::string& stage() const { return stages.back().stage; }
  int64_t total_tokens() const;  // inherited included
  double total_flops() const;
};

// What goes on from `state` in another stage than the one that opens its masks would keep them as they are: throws
// ErrorKind::kConfig naming `where`.
void require_open_masks(const TrainState& state, const std::string& where);

nlohmann::json to_json(const TrainState& state);
// Throws ErrorKind::kCheckpoint naming `where` if a field is missing or of the wrong type.
TrainState train_state_from_json(const nlohmann::json& document, const std::string& where);

nlohmann::json to_json(const ModelConfig& config);
ModelConfig model_config_from_json(const nlohmann::json& document, const std::string& where);

}  // namespace nexus
