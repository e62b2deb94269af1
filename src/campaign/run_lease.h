// Who may write in a run folder: one job at a time, kept apart by generations (docs/reliability.md).
//
//   RUN/lease/000012.json    what generation 12 says of itself, renewed while it lives
//
// A generation is claimed by linking a finished file to its number, which only one of several claimants can do. The
// highest number owns the run. A claimant leaves a living owner alone, with one exception: an older start of its own
// Slurm job, which Slurm believes to be dead (a node that was lost runs on by itself, so both may live). Taking over
// goes: claim the number, durably; take the folders of unfinished saves away (revoke_unfinished_saves); look for the
// newest checkpoint. The old owner asks its fence between creating the folder of a save and giving it its name. So
// either its name was there before the new owner looked, or the renaming fails: two live copies never both commit,
// whatever their clocks say and however long either of them was stopped.
//
// This needs link and rename to be atomic and folders to be seen alike by both hosts. Local file systems are tested;
// network ones (NFS, Lustre) are not.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "campaign/slurm_job.h"
#include "core/run_folder.h"
#include "records/lease_record.h"

namespace nexus {

// All generations of a run, oldest first. A file that cannot be read gives, with a warning, its number alone.
std::vector<LeaseRecord> read_leases(const RunFolder& run);

// What can be said of a launch at once: it is known where it runs on this machine, or has ended by itself.
enum class Liveness { kLives, kGone, kElsewhere };
Liveness liveness_here(const LeaseRecord& lease);

// Whether `generation` still owns the run; false also where nobody can say.
bool owns_run(const RunFolder& run, int64_t generation);

// What a run has used, lost work included.
struct RunUsage {
  double rank_hours = 0, node_hours = 0;
};
RunUsage usage_of(const std::vector<LeaseRecord>& leases);

struct LeaseTimes {
  double renew_seconds = 5;    // between renewals
  double expiry_seconds = 20;  // an owner elsewhere that renews nothing for so long is dead
  double dying_seconds = 10;   // for an owner on this machine to end: mpirun takes two seconds to end its ranks
};

class RunLease {
 public:
  // Claims the next generation and revokes unfinished saves. Throws ErrorKind::kConfig where another job works in the
  // folder. `on_lost` is called once, on a thread, when a newer generation appears; the process should then leave at
  // once, writing nothing.
  RunLease(const RunFolder& run, int ranks, int nodes, std::function<void(const std::string&)> on_lost,
           const LeaseTimes& times = {});
  ~RunLease();  // releases it
  RunLease(const RunLease&) = delete;
  RunLease& operator=(const RunLease&) = delete;

  int64_t generation() const { return mine_.generation; }
  // Throws ErrorKind::kFenced if a newer generation is there. Reads the folder anew.
  void require_current() const;
  // Of all generations, this one up to now.
  RunUsage usage() const;
  // Of the latest save that is known, of whatever generation; 0: none is. Not the slowest: one that hung once must not
  // shorten every later job.
  double latest_save_seconds() const;
  void note_commit(double save_seconds);
  // Generations before this one.
  const std::vector<LeaseRecord>& earlier() const { return earlier_; }
  // Newest checkpoint, as found at the start: goes into the record.
  void note_found(int64_t sequence);
  // How this launch ends: in the record from the next renewal or the release on.
  void note_end(const LaunchEnd& end);

 private:
  void claim(const LeaseTimes& times);
  bool claimed(int64_t generation);
  void renew_until_released(double period_seconds);
  void write(bool released);
  double seconds_now() const;

  RunFolder run_;
  LeaseRecord mine_;
  std::vector<LeaseRecord> earlier_;
  std::function<void(const std::string&)> on_lost_;
  double start_ = 0;  // steady clock
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace nexus
