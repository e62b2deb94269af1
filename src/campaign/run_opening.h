// Opening a run folder, and choosing the checkpoint that a launch goes on from. Rank 0 looks, claims and writes, since
// file systems may show different ranks different folders; the others are told. Everything here is collective.
#pragma once

#include <optional>
#include <string>

#include "campaign/campaign.h"
#include "campaign/launch_keeper.h"
#include "checkpoint/checkpoint.h"

namespace nexus {

struct OpenRun {
  std::string run_id;
  LaunchMark mark;
};

// Makes the folder, claims it (`keeper` is set on rank 0; see RunLease for what is thrown), begins its log file, and
// with --resume never begins the run anew (campaign/known_commits.h).
OpenRun open_run(Communicator& world, const RunFolder& run, const CampaignSpec& spec, const LaunchOptions& launch,
                 StopRequests& requests, std::optional<LaunchKeeper>& keeper);

// See LaunchKeeper.
void refuse_idle_starts(Communicator& world, std::optional<LaunchKeeper>& keeper);

// What --resume says: the newest checkpoint that verifies, none, or the one that it names, below the working directory
// or the run folder. "": the run has no past. Throws ErrorKind::kCheckpoint where its checkpoints have vanished, and
// ErrorKind::kConfig where there is none of the name.
std::string checkpoint_to_resume(Communicator& world, const RunFolder& run, const LaunchOptions& launch,
                                 const std::string& run_id);

// Every rank hashes its share of the files.
Checkpoint open_verified(Communicator& world, const std::string& path);

}  // namespace nexus
