// What a launch reads: does it belong together, and is it what the run has read so far? Files may move, be touched or
// be copied; what counts is what they hold.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "campaign/next_action.h"
#include "comm/communicator.h"
#include "data/data_identity.h"
#include "model/workload.h"
#include "spec/campaign_spec.h"
#include "train/train_state.h"

namespace nexus {

// The data of one launch and what encoded it; made and used collectively over `world`. The data sets stay open.
class LaunchData {
 public:
  // Compares data sets, what encoded them (tokenizer.path) and the model, as far as descriptions tell (on rank 0): what
  // is named wrongly is refused before anything is touched. Errors: Workload::check_descriptions.
  LaunchData(const CampaignSpec& spec, const RunData& data, Communicator& world);

  // Finds out what the files hold. What is not kept beside them (DataSet::kept_content) is read, once: ranks that see
  // the same files share the work; ranks that see files of their own (staged to a node, say) read those. Throws
  // ErrorKind::kData where ranks see different content, and as Workload::check_contents does.
  void read_contents(Communicator& world);

  const DataIdentity& identity() const { return identity_; }
  // For run.json: files, digests, tokenizer, what of the model decides how they are read. Complete on rank 0.
  nlohmann::json record() const;

 private:
  const Workload& kind() const { return workload(spec_.model.workload); }

  const CampaignSpec& spec_;
  std::vector<NamedDataSet> sets_;  // training sets in order, then the validation set
  std::vector<DataContent> contents_;
  DataIdentity identity_;
};

// What a checkpoint has recorded of its data and is different now, one text per key. `before` may be of a version that
// recorded less. `index_digest` is Sampler::index_digest of this launch.
std::vector<FrozenChange> data_changes(const CampaignSpec& spec, const TrainState& before,
                                       const std::string& index_digest, const DataIdentity& now);

// `now`, with the tokenizer as it was where this launch names none.
DataIdentity updated_identity(const DataIdentity& before, DataIdentity now);

}  // namespace nexus
