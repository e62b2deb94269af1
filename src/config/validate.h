// The rules between keys (spec/rules.h), with the places where the keys are written.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/read_spec.h"
#include "spec/campaign_spec.h"

namespace nexus {

// Calls `rule`, which throws ErrorKind::kConfig with a key as the place, and adds file and line.
void refuse_where_written(const Locations& locations, const std::function<void()>& rule);

// Completes the spec (%name, kv_heads, scales) and refuses what cannot work, naming file, line, key and reason. Returns
// warnings about what can work but is odd.
std::vector<std::string> validate(CampaignSpec& spec, const Locations& locations);

}  // namespace nexus
