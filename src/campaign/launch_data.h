// What a launch reads: does it belong together, and is it what the run has read so far? Files may move, be touched or
// be copied; what counts is what they hold.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "campaign/next_action.h"
#include "comm/communicator.h"
#include "data/data_check.h"
#include "data/data_identity.h"
#include "data/sampler.h"
#include "spec/campaign_spec.h"
#include "train/train_state.h"

namespace nexus {

// The token files and the tokenizer of one launch; made and used collectively over `world`. The sampler and the windows
// stay open.
class LaunchData {
 public:
  // Compares tokenizer, vocabulary and the descriptions beside the files (on rank 0): what is named wrongly is refused
  // before anything is touched. Errors: check_descriptions in data/data_check.h.
  LaunchData(const CampaignSpec& spec, const Sampler& sampler, const EvalWindows* valid, Communicator& world);

  // Finds out what the files hold. What is not kept beside them (data/token_file_content.h) is read, once: ranks that
  // see the same files share the work; ranks that see files of their own (staged to a node, say) read those. Throws
  // ErrorKind::kData where ranks see different content, and as check_content does.
  void read_contents(Communicator& world);

  const DataIdentity& identity() const { return identity_; }
  // For run.json: files, digests, tokenizer, V. Complete on rank 0.
  nlohmann::json record() const;

 private:
  void check_contents() const;

  const CampaignSpec& spec_;
  std::vector<NamedTokenFile> files_;  // training files in order, then the validation file; described on rank 0
  std::vector<TokenFileContent> contents_;
  int64_t pieces_ = 0;  // of tokenizer.path; 0: none is named. Rank 0
  DataIdentity identity_;
};

// What a checkpoint has recorded of its data and is different now, one text per key. `before` may be of a version that
// recorded less. `index_digest` is Sampler::index_digest of this launch.
std::vector<FrozenChange> data_changes(const CampaignSpec& spec, const TrainState& before,
                                       const std::string& index_digest, const DataIdentity& now);

// `now`, with the tokenizer as it was where this launch names none.
DataIdentity updated_identity(const DataIdentity& before, DataIdentity now);

}  // namespace nexus
