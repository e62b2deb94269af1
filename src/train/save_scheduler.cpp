#include "train/save_scheduler.h"

#include <utility>

#include "comm/progress.h"
#include "core/log.h"

namespace nexus {
namespace {

// Between looks at a save that everybody waits for.
constexpr double kShardPollSeconds = 0.005;

}  // namespace

SaveScheduler::SaveScheduler(Context context, const CheckpointSpec& spec, double silence_seconds, int64_t stage_steps,
                             const TrainState& state, Begin begin, Clock clock)
    : context_(std::move(context)),
      spec_(spec),
      silence_seconds_(silence_seconds),
      stage_steps_(stage_steps),
      state_(state),
      begin_(std::move(begin)),
      clock_(std::move(clock)),
      last_save_(clock_()),
      saved_step_(state.step),
      saved_tokens_(state.total_tokens()) {}

// Rank 0's clock decides; the step's reduction tells the others.
Requests SaveScheduler::with_due_save(Requests asked) const {
  if (serves_request_ && !asked.stop) asked.save = false;
  asked.save = asked.save || (context_.world.rank() == 0 && spec_.every.unit == Period::Unit::kSeconds &&
                              clock_() - last_save_ >= spec_.every.value);
  return asked;
}

void SaveScheduler::after_step(int64_t tokens_before, bool asked, bool last) {
  finish_if_written();
  owed_ = owed_ || spec_.every.due(state_.step - 1, state_.step, tokens_before, state_.total_tokens());
  if (weights_are_sound_ && (last || owed_ || asked)) start();
  if (last || !spec_.async) finish();
}

void SaveScheduler::save_now() {
  start();
  finish();
}

void SaveScheduler::start() {
  finish();
  const progress::Phase phase(fmt::format("stage {} saving step {}", state_.stage(), state_.step));
  const bool pinned = spec_.keep_every.due(saved_step_, state_.step, saved_tokens_, state_.total_tokens());
  context_.records.sync();  // what happened before the commit is on the disk before the commit is
  pending_ = begin_(pinned);
  saving_ = state_;
  saved_step_ = state_.step;
  saved_tokens_ = state_.total_tokens();
  owed_ = false;
  serves_request_ = context_.world.rank() == 0 && context_.requests.poll().save;
  last_save_ = clock_();
}

// As soon as every rank has written its part, or failed to.
void SaveScheduler::finish_if_written() {
  if (pending_ && !context_.world.any(!pending_->written())) finish();
}

// Waiting together is a sign of life for the watchdog, however slow the disks; a disk that stands still is not.
void SaveScheduler::await_shards() {
  while (true) {
    const double silent = context_.world.max(pending_->written() ? -1.0 : pending_->silent_seconds());
    if (silent < 0) return;
    if (silence_seconds_ > 0 && silent > silence_seconds_) {
      pending_->abandon();
      throw Error(ErrorKind::kIo, fmt::format("some rank has written nothing for {:.0f} s", silent),
                  fmt::format("saving stage {} step {}", saving_.stage(), saving_.step),
                  "check the file system of the run folder, then run the same command again");
    }
    sleep_seconds(kShardPollSeconds);
  }
}

void SaveScheduler::finish() {
  if (!pending_) return;
  const progress::Phase phase(fmt::format("stage {} committing step {}", saving_.stage(), saving_.step));
  await_shards();
  const std::unique_ptr<PendingSave> save = std::move(pending_);  // whatever comes of it, it is not committed twice
  const SaveResult saved = save->commit(context_.fence);
  if (serves_request_) context_.requests.clear_save_request();
  serves_request_ = false;
  context_.records.commit(saving_, stage_steps_, saved.path, saved.size_bytes, saved.seconds);
  context_.world.try_on_rank_0("tidying up after a commit", [&] {
    context_.on_commit(saving_, saved);
    if (context_.fence) context_.fence();       // a copy that was replaced has no business here
    if (weights_are_sound_) prune(saved.path);  // what was just committed may be the ruined state
  });
}

void SaveScheduler::prune(const std::string& newest) const {
  KeepPolicy policy;
  policy.keep_last = spec_.keep_last;
  policy.verified = newest;  // its digests were compared when it was written
  policy.generation = context_.generation;
  try {
    prune_checkpoints(context_.run, policy);
  } catch (const Error& error) {  // the commit has succeeded, and there will be another one to prune after
    if (error.kind() != ErrorKind::kIo) throw;
    warn("older checkpoints are not pruned this time: {}", error.what());
  }
}

}  // namespace nexus
