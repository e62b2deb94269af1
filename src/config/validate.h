// The rules between keys: what no single value can show.
#pragma once

#include <string>
#include <vector>

#include "campaign/campaign_spec.h"
#include "config/read_spec.h"

namespace nexus {

// Completes the spec (%name, kv_heads, scales) and refuses what cannot work, naming file, line, key and reason. Returns
// warnings about what can work but is odd.
std::vector<std::string> validate(CampaignSpec& spec, const Locations& locations);

}  // namespace nexus
