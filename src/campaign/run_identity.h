// Who a run is: run.json, made once, with a line added for every launch.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "backend/backend.h"
#include "campaign/campaign.h"
#include "core/run_folder.h"

namespace nexus {

// Creates run.json for a new folder or reads it, and adds this launch to its history (rank 0 only). Warns when the back
// end, the ranks or the version differ from the launch before: the bits may then differ too. Returns the run's random
// id.
std::string identify_run(const RunFolder& run, const CampaignInput& input, const LaunchOptions& launch,
                         const Backend& backend, int ranks);

}  // namespace nexus
