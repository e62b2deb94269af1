// Who a run is: run.json, made once, with a line added for every launch.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "backend/backend.h"
#include "campaign/campaign.h"
#include "core/run_folder.h"

namespace nexus {

// The run's random id, made when the folder is new (rank 0 only).
std::string identify_run(const RunFolder& run);

// The definition of FLOPs that the launches so far have counted by (run.json's flops_def); "" before the first.
std::string recorded_flops_def(const RunFolder& run);

// Adds an accepted launch to run.json and keeps its configuration (rank 0 only): a launch that is refused leaves the
// folder's description as it was. `data`: LaunchData::record. Warns where back end, ranks or version differ from the
// launch before: the bits may too.
void record_launch(const RunFolder& run, const CampaignInput& input, const LaunchOptions& launch,
                   const Backend& backend, const std::string& grid, const LaunchMark& mark,
                   const nlohmann::json& data = {});

}  // namespace nexus
