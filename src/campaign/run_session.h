// What a launch holds of its run, from its first collective to its end: the watchdog, the grid of its ranks, whoever
// may ask it to stop, and once the run folder is open its lease, its records and STATUS.
//
// Rank 0 looks, claims and writes, since file systems may show different ranks different folders; the others are told.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "campaign/campaign.h"
#include "campaign/launch_keeper.h"
#include "comm/process_grid.h"
#include "comm/watchdog.h"
#include "train/run_records.h"
#include "train/stop_requests.h"

namespace nexus {

class RunSession {
 public:
  // Collective. A rank that hangs from here on ends the job, with an explanation. Throws ErrorKind::kComm where ranks
  // have read different configurations, and ErrorKind::kConfig where their number does not fit the campaign.
  RunSession(const CampaignInput& input, const LaunchOptions& launch, std::unique_ptr<Communicator> world);

  // Makes the folder, claims it (see RunLease for what is thrown), begins its log file, and with --resume never begins
  // the run anew (campaign/known_commits.h). Throws ErrorKind::kNoProgress after too many failed starts. Collective.
  void open();

  ProcessGrid& grid() { return grid_; }
  Communicator& world() { return grid_.world(); }
  const RunFolder& folder() const { return folder_; }
  RunRecords& records() { return records_; }
  StopRequests& requests() { return requests_; }
  // Of an open session:
  const std::string& run_id() const { return run_id_; }
  const LaunchMark& mark() const { return opened_.mark; }
  Fence fence() const { return keeper_ ? keeper_->fence() : Fence{}; }
  void committed(const TrainState& state, const SaveResult& saved) { keeper_->committed(records_, state, saved); }

  // The limit of the budget that is reached; "": none, or this is not rank 0.
  std::string spent() const { return keeper_ ? keeper_->spent() : ""; }
  struct StopCause {
    bool spent = false;  // the budget, not a request; the reason is rank 0's then
    std::string reason;
  };
  // Why the launch stops. Collective; the same on every rank but for what is said above.
  StopCause stop_cause();
  // How the launch ends, for the lease; and for STATUS, in words as well.
  void note_end(const LaunchEnd& end);
  void leave(const std::string& text, const LaunchEnd& end);

 private:
  // What the watchdog's thread must know to write STATUS; `mark` is set before `yes`.
  struct Opened {
    std::atomic<bool> yes{false};
    LaunchMark mark;
  };
  static WatchdogOptions watchdog_options(const CampaignSpec& spec, Communicator& world, const Opened& opened);
  void claim_folder();

  const CampaignInput& input_;
  const LaunchOptions& launch_;
  RunFolder folder_;
  std::string run_id_;
  Opened opened_;
  Watchdog watchdog_;
  ProcessGrid grid_;
  RunRecords records_;
  std::optional<LaunchKeeper> keeper_;  // rank 0
  StopRequests requests_;
};

}  // namespace nexus
