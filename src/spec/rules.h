// The rules between the keys of a campaign: what no single value can show.
#pragma once

#include <string>
#include <vector>

#include "spec/campaign_spec.h"
#include "spec/cluster_spec.h"

namespace nexus {

// Something that can work but is odd, at a full key: "stages.1.grow.A".
struct Advice {
  std::string key, text;
};

// Completes the model (kv_heads, scales) and throws ErrorKind::kConfig, with the key as the place, for what cannot
// work.
std::vector<Advice> check_rules(CampaignSpec& spec);

// Those of them that job scripts rely on: there are stages, and run and stages have names of their own that can be
// folders.
void check_names(const CampaignSpec& spec);

// Of a job on that cluster, slurm.nodes full of them. Throws ErrorKind::kConfig where dp and tp make another number.
int ranks_of_job(const CampaignSpec& spec, const ClusterSpec& cluster);

std::string stage_key(size_t stage, const std::string& key);  // "stages.1.lr.min"

}  // namespace nexus
