// A campaign of one stage whose model is small enough to be run, for tests of plans. Batch and tokens are the test's.
#pragma once

#include "spec/campaign_spec.h"

namespace nexus {

inline CampaignSpec small_campaign() {
  CampaignSpec spec;
  spec.name = "small";
  spec.model.d = 64;
  spec.model.layers = 2;
  spec.model.heads = 4;
  spec.model.counts["M"] = 80;
  spec.model.counts["A"] = 96;
  spec.model.counts["F"] = 112;
  spec.model.counts["V"] = 300;
  spec.stages.resize(1);
  spec.stages[0].name = "s0";
  return spec;
}

}  // namespace nexus
