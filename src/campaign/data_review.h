// What a campaign does with its data, in words, before anything is trained: how often each stage reads each of
// them, and whether what is held out for validation is trained on.
#pragma once

#include <string>
#include <vector>

#include "model/workload.h"
#include "spec/campaign_spec.h"

namespace nexus {

struct DatasetUse {
  std::string path;
  int64_t units = 0;  // in the workload's unit
  // By stage; 1: every sample once. The same data under several names is counted under each of them with all its reads.
  std::vector<double> passes;
  double inherited = 0;  // passes of the ancestors that init_from names, where they read the same training files
  double all_passes() const;
};

struct DataReview {
  std::vector<DatasetUse> datasets;
  std::vector<std::string> lines;  // one per dataset, in the grammar of the log; of many datasets the first ones
  std::vector<std::string> warnings;
};

// `inherited_units`: how many of the campaign's own training data its ancestors have read (units_of_ancestors).
DataReview review_data(const CampaignSpec& spec, const RunData& data, int64_t inherited_units = 0);
// What the lineage of init_from's checkpoint was trained on, in the workload's unit, where its last run read the same
// training files; 0 where it read others, or that cannot be told.
int64_t units_of_ancestors(const CampaignSpec& spec, const RunData& data);
// The same before a launch: opens the files. Where a file is not there yet, one line says so and nothing is counted;
// one that cannot be used, or does not belong to the model or to tokenizer.path, is a warning.
DataReview review_data(const CampaignSpec& spec);

}  // namespace nexus
