// What a campaign does with its token files, in words, before anything is trained: how often each stage reads each of
// them, and whether text that is held out for validation is trained on.
#pragma once

#include <string>
#include <vector>

#include "campaign/campaign_spec.h"
#include "data/sampler.h"

namespace nexus {

// Text that is read more often than this teaches ever less (Muennighoff et al. 2023, arXiv 2305.16264: up to 4 times it
// is nearly as good as new text).
constexpr double kManyPasses = 4;

struct DatasetUse {
  std::string path;
  int64_t tokens = 0;
  std::vector<double> passes;  // by stage; 1: every window once
  double all_passes() const;
};

struct DataReview {
  std::vector<DatasetUse> datasets;
  std::vector<std::string> lines;  // one per dataset, in the grammar of the log; of many datasets the first ones
  std::vector<std::string> warnings;
};

DataReview review_data(const CampaignSpec& spec, const Sampler& sampler);
// The same before a launch: opens the files. Where a file is not there yet, one line says so and nothing is counted;
// one that cannot be used is a warning.
DataReview review_data(const CampaignSpec& spec);

}  // namespace nexus
