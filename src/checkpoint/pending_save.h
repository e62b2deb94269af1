// A checkpoint that is written in the background while training goes on (docs/checkpoints.md, "Saving in the
// background").
//
//   PendingSave save(comm, run, id, slices, state, snapshot);   // collective, quick
//   ... steps ...    save.written() on this rank; agree on it, then:
//   save.commit();                                              // collective
//
// Nothing is a checkpoint before commit() has returned or, after a crash, been about to.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace nexus {

class LiveFolder;
struct ShardRecord;

class PendingSave {
 public:
  // Collective, like save_checkpoint: makes the temporary folder, agrees, and starts a thread that writes this rank's
  // shard. The slices' memory must neither change nor go away before commit() or the destructor; `memory`, if given, is
  // kept alive for so long and then let go on the calling thread. `comm` must outlive the save. The thread makes no
  // MPI call and uses HDF5 under a process-wide lock: opening and reading checkpoints, and other saves, wait for each
  // slice's turn; code outside this module must leave HDF5 alone meanwhile. `generation`: of rank 0's lease, which
  // tells whose the unfinished folder is (KeepPolicy); 0 without a lease.
  PendingSave(Communicator& comm, const RunFolder& run, const CheckpointId& id, std::vector<TensorSlice> slices,
              nlohmann::json state, std::shared_ptr<const void> memory = nullptr, int64_t generation = 0);
  // Without commit(): waits for the thread, removes this rank's shard, and the folder if it was the last. Local. After
  // abandon() it does none of that.
  ~PendingSave();
  PendingSave(const PendingSave&) = delete;
  PendingSave& operator=(const PendingSave&) = delete;

  const CheckpointId& id() const { return id_; }
  // Whether this rank's shard is durable or has failed: commit() will not wait for this rank. No communication.
  bool written() const { return job_->written; }
  // Since this rank's shard last grew or was read back; 0 once it is written. A disk that hangs shows here.
  double silent_seconds() const;
  // Collective, once: waits for the shards and makes them a checkpoint. If the write failed on any rank, throws on
  // every one, and no checkpoint has come to be. `seconds` counts from the constructor. Rank 0 calls `fence` last
  // before the folder gets its name.
  SaveResult commit(const Fence& fence = {});
  // Gives up a thread that a hanging disk holds; for a process that is about to end.
  void abandon();

 private:
  // What the thread works on; it outlives a save that is abandoned.
  struct Job {
    std::string folder, name;
    std::vector<TensorSlice> slices;
    std::shared_ptr<const void> memory;
    std::unique_ptr<ShardRecord> shard;
    std::exception_ptr error;  // of the thread; read after joining it
    std::atomic<bool> written{false};
    std::atomic<double> last_byte{0};
    Job();
    ~Job();
  };
  static void write(const std::shared_ptr<Job>& job) noexcept;
  void join();

  Communicator& comm_;
  RunFolder run_;
  CheckpointId id_;
  nlohmann::json state_;
  double start_;  // by the steady clock
  std::string folder_;
  std::unique_ptr<LiveFolder> live_;  // on rank 0, which prunes
  std::shared_ptr<Job> job_;
  bool finished_ = false, abandoned_ = false;
  std::thread thread_;
};

}  // namespace nexus
