// From the merged tree to the campaign, by the table of keys.
#pragma once

#include "config/locations.h"
#include "config/yaml_tree.h"
#include "spec/campaign_spec.h"

namespace nexus {

struct ReadSpec {
  CampaignSpec spec;
  Locations locations;
};

// Unknown, misplaced and missing keys and values of the wrong type are refused. `root` is a map.
ReadSpec read_spec(const Node& root);

}  // namespace nexus
