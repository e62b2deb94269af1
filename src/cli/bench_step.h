// Training steps of a campaign's first stage on random tokens: timed as a whole, and by families of operations.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/profiler.h"
#include "comm/process_grid.h"
#include "data/batch.h"
#include "spec/campaign_spec.h"
#include "statistics/quantiles.h"
#include "train/step.h"

namespace nexus {

// One rank's model with everything that a step needs.
class StepBench {
 public:
  // Collective; throws on every rank what one rank has to say (ErrorKind::kConfig where memory does not suffice).
  static std::unique_ptr<StepBench> make(const CampaignSpec& spec, Backend& backend, ProcessGrid& grid);
  StepBench(const CampaignSpec& spec, Backend& backend, ProcessGrid& grid);

  double step();  // seconds on this rank, until its device is done; collective

  const BatchLayout& layout() const { return layout_; }
  int64_t params() const { return model_.table().count(); }
  int64_t buffer_bytes() const { return params_.size_bytes() + runner_.arena_peak_bytes(); }
  ProcessGrid& grid() { return grid_; }
  Backend& backend() { return params_.backend(); }

 private:
  ModelConfig config_;
  ProcessGrid& grid_;
  Model model_;
  ParamStore params_;
  BatchLayout layout_;
  StepRunner runner_;
  Optimizer optimizer_;
  FetchSample random_samples_;
  int64_t samples_ = 0;
};

// What one size of micro-batch gave. The same on every rank.
struct StepRun {
  int64_t micro = 0, accumulation = 0;
  std::string refusal;          // why it did not run; the rest is empty then
  std::vector<double> seconds;  // per step, of the slowest rank
  int64_t tokens = 0;           // per step, all ranks
  int64_t params = 0;           // of the whole model
  int64_t buffer_bytes = 0;     // high-water mark of own buffers, of the rank with most
  int64_t planned_bytes = 0;    // what `nexus plan` says of that
  int64_t device_bytes = 0;     // in use on the device while all is allocated, by whomever; 0: not limited by a device

  bool ran() const { return refusal.empty(); }
  double step_seconds() const { return median(seconds); }
  double tokens_per_second() const { return static_cast<double>(tokens) / step_seconds(); }
};

// `steps` timed steps after `warmup` others. Collective.
StepRun time_steps(const CampaignSpec& spec, StepBench& bench, int warmup, int steps);

// Where the time of a step goes on this rank.
struct StepProfile {
  int steps = 0;
  double step_seconds = 0;                           // mean, with the marks
  std::map<std::string, Profiler::Family> families;  // of all steps together
  double family_seconds() const;                     // per step, all families
};

// Collective.
StepProfile profile_steps(const CampaignSpec& spec, Backend& backend, ProcessGrid& grid, int warmup, int steps);

}  // namespace nexus
