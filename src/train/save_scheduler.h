// When a stage saves its state (by steps, tokens or seconds, when asked, at its end), the one save that may be under
// way, and which checkpoints are kept.
#pragma once

#include <functional>
#include <memory>

#include "checkpoint/pending_save.h"
#include "spec/train_options.h"
#include "system/clock.h"
#include "train/run_records.h"
#include "train/stop_requests.h"

namespace nexus {

class SaveScheduler {
 public:
  // What a save needs; owned by others.
  struct Context {
    Communicator& world;
    RunFolder run;
    RunRecords& records;
    StopRequests& requests;
    Fence fence;             // of rank 0: asked before every commit and before anything is pruned
    int64_t generation = 0;  // of this launch: its unfinished saves bear it
    // On rank 0, after a commit of `state`.
    std::function<void(const TrainState& state, const SaveResult& saved)> on_commit;
  };
  // Copies the state and begins to write it. Collective; may still advance the state's account.
  using Begin = std::function<std::unique_ptr<PendingSave>(bool pinned)>;
  using Clock = std::function<double()>;  // seconds, of a clock that nobody sets

  // `state` stands where the stage is entered or gone on with, and is the trainer's own; periods count from here.
  // `silence_seconds`: a disk that writes nothing for so long makes a save fail (0: never).
  SaveScheduler(Context context, const CheckpointSpec& spec, double silence_seconds, int64_t stage_steps,
                const TrainState& state, Begin begin, Clock clock = steady_seconds);

  // What this rank asks for, before the ranks agree on it: without a request that a save under way serves already, and
  // with a save where rank 0's clock says so.
  Requests with_due_save(Requests asked) const;
  // False from a skipped update to the next one: the weights may be ruined, so that nothing is begun, and nothing
  // pruned when a save under way is committed. A save that comes due meanwhile is owed.
  void set_weights_are_sound(bool sound) { weights_are_sound_ = sound; }
  // After a step. `asked`: for a save, by some rank; `last`: no step follows, so that a save is committed at once.
  // Collective, as what follows.
  void after_step(int64_t tokens_before, bool asked, bool last);
  void save_now();
  // Commits the save under way, if there is one. Throws ErrorKind::kIo, on every rank, where some rank's disk stands
  // still.
  void finish();

 private:
  void start();
  void finish_if_written();
  void await_shards();
  void prune(const std::string& newest) const;

  Context context_;
  CheckpointSpec spec_;
  double silence_seconds_;
  int64_t stage_steps_;
  const TrainState& state_;
  Begin begin_;
  Clock clock_;
  double last_save_;                   // by the clock
  int64_t saved_step_, saved_tokens_;  // at the last save
  bool owed_ = false;                  // came due, and was not begun yet
  bool weights_are_sound_ = true;
  std::unique_ptr<PendingSave> pending_;
  TrainState saving_;            // the state that it holds
  bool serves_request_ = false;  // rank 0: it was asked for by CHECKPOINT_NOW
};

}  // namespace nexus
