// What a campaign will cost, before anything runs: parameters, FLOPs, steps, memory (`nexus plan`). Counts come from
// the code that will run: the parameter table, and a dry run of one micro-batch.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "accounting/communication.h"
#include "records/workload_words.h"
#include "spec/campaign_spec.h"

namespace nexus {

enum class PlannedDevice { kCpu, kCuda };
PlannedDevice planned_device(const std::string& name);  // "cpu" or "cuda", as --device says; throws kConfig

// Bytes of one rank's own buffers (not the libraries', not the process's), and on a GPU an estimate of the rest of its
// memory.
struct MemoryPlan {
  int64_t params_bytes = 0;  // weights, their compute copy, gradients; master weights and moments or a share of them
  int64_t activations_bytes = 0;  // one micro-batch: activations, their gradients, scratch
  int64_t evaluation_bytes = 0;   // one evaluation micro-batch, in turn with the above; 0 without validation data
  int64_t growth_bytes = 0;       // peak while this stage's growth is carried out and checked (0: no growth)
  int64_t snapshot_bytes = 0;     // host copy of what this rank writes into a checkpoint, while it is written
  int64_t device_bytes = 0;       // a GPU's context, libraries and workspaces; 0 on a host
  int64_t training_bytes() const { return params_bytes + activations_bytes; }
  int64_t peak_bytes() const;  // of the memory that the rank computes in: a GPU holds no snapshot
};

// One way to arrange the ranks. Figures are per rank; of ranks that differ by a row of the vocabulary, the largest.
struct GridForecast {
  int dp = 1, tp = 1;
  bool batch_fits = true;  // batch.global_tokens divides; nothing else is counted where it does not
  MemoryPlan memory;
  std::vector<CommunicationTerm> communication;  // of one step
  double tp_bytes = 0, dp_bytes = 0;             // sent per rank and step, between tp ranks and between dp ranks
};

struct StageForecast {
  std::string name;
  ModelConfig model;
  int64_t params = 0, non_embedding_params = 0;
  double flops_per_token = 0;
  int64_t tokens = 0, steps = 0;  // tokens = steps * global_tokens
  double flops = 0;
  int64_t checkpoint_bytes = 0;  // weights and moments
  MemoryPlan memory;             // on the campaign's own grid
  std::vector<GridForecast>
      grids;  // of as many ranks, the campaign's own first, then tp 1, 2, 4, 8 where the model can be cut
};

struct Forecast {
  std::string name, flops_def;
  WorkloadWords words;  // what `tokens` are called
  int ranks = 1, dp = 1, tp = 1;
  bool zero = false, sequence = false;
  PlannedDevice device = PlannedDevice::kCpu;
  int64_t context = 0, micro = 0, global_tokens = 0, accumulation = 0;
  std::vector<StageForecast> stages;
  int64_t tokens() const;
  double flops() const;
};

// `ranks` 0 takes parallel.dp (1 if that is auto) times parallel.tp. Throws ErrorKind::kConfig where the batch does not
// divide, or the device cannot compute in the campaign's type.
Forecast make_forecast(const CampaignSpec& spec, int ranks, PlannedDevice device = PlannedDevice::kCpu);

std::string forecast_text(const Forecast& forecast);  // a table for people
nlohmann::json forecast_json(const Forecast& forecast);

}  // namespace nexus
