// The figures of `nexus bench step`, for people and for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench_ceilings.h"
#include "cli/bench_step.h"
#include "spec/campaign_spec.h"

namespace nexus {

struct BenchReport {
  CampaignSpec spec;
  std::string backend;  // description
  int dp = 1, tp = 1;
  Ceilings ceilings;                   // of the slowest rank, all measuring at once
  std::vector<StepRun> runs;           // one per size of micro-batch
  std::optional<size_t> chosen;        // the fastest of them; nothing if none ran
  std::optional<StepProfile> profile;  // of rank 0, for the chosen one

  int ranks() const { return dp * tp; }
};

// Index of the run with most tokens per second.
std::optional<size_t> fastest(const std::vector<StepRun>& runs);

std::string bench_text(const BenchReport& report);
nlohmann::json bench_json(const BenchReport& report);

}  // namespace nexus
