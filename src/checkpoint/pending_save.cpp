#include "checkpoint/pending_save.h"

#include <unistd.h>

#include <csignal>
#include <system_error>
#include <utility>

#include "checkpoint/commit.h"
#include "checkpoint/layout.h"
#include "system/clock.h"

namespace nexus {
namespace {

std::string shard_name(int rank) {
  return fmt::format("shard-{:04}.h5", rank);
}

}  // namespace

PendingSave::Job::Job() : shard(std::make_unique<ShardRecord>()) {}
PendingSave::Job::~Job() = default;

PendingSave::PendingSave(Communicator& comm, const RunFolder& run, const CheckpointId& id,
                         std::vector<TensorSlice> slices, nlohmann::json state, std::shared_ptr<const void> memory,
                         int64_t generation)
    : comm_(comm),
      run_(run),
      id_(id),
      state_(std::move(state)),
      start_(steady_seconds()),
      job_(std::make_shared<Job>()) {
  const bool leader = comm_.rank() == 0;
  std::string temporary;
  try {
    comm_.try_on_rank_0("preparing the checkpoint", [&] { temporary = make_temporary_folder(run_, id_, generation); });
    folder_ = comm_.broadcast_text(temporary);
  } catch (...) {
    remove_quietly(temporary);
    throw;
  }
  if (leader) live_ = std::make_unique<LiveFolder>(folder_);
  try {
    job_->folder = folder_;
    job_->name = shard_name(comm_.rank());
    job_->slices = std::move(slices);
    job_->memory = std::move(memory);
    job_->last_byte = steady_seconds();
    thread_ = std::thread(&PendingSave::write, job_);
  } catch (const std::system_error& e) {  // of this rank only: commit() tells the others
    job_->error = std::make_exception_ptr(Error(ErrorKind::kIo, fmt::format("cannot start a thread: {}", e.what()),
                                                folder_, "raise the limit of processes (ulimit -u)"));
    job_->written = true;
  }
}

PendingSave::~PendingSave() {
  if (abandoned_) return;
  join();
  if (finished_) return;
  // Every rank takes its own file away and the last one the folder, in whatever order they come. A folder that is gone
  // before a rank has started to write fails that write, which is given up as well.
  remove_quietly(folder_ + "/" + shard_name(comm_.rank()));
  ::rmdir(folder_.c_str());
}

double PendingSave::silent_seconds() const {
  return job_->written ? 0 : steady_seconds() - job_->last_byte;
}

// On the thread. Signals are for the main one, whose system calls they are meant to interrupt.
void PendingSave::write(const std::shared_ptr<Job>& job) noexcept {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  try {
    *job->shard = write_shard(job->folder, job->name, job->slices, [&job] { job->last_byte = steady_seconds(); });
  } catch (...) {
    job->error = std::current_exception();
  }
  job->written = true;
}

void PendingSave::join() {
  if (thread_.joinable()) thread_.join();
  job_->memory.reset();
}

void PendingSave::abandon() {
  abandoned_ = true;
  if (thread_.joinable()) thread_.detach();
}

SaveResult PendingSave::commit(const Fence& fence) {
  NX_CHECK(!finished_, "stage {} step {} was committed before", id_.stage, id_.step);
  join();
  finished_ = true;
  const bool leader = comm_.rank() == 0;
  SaveResult result;
  result.path = run_.checkpoint(id_.stage, id_.step);
  try {
    // First of all whether this is still the writer: a newer one has taken the folder away, and that is the reason
    // then.
    comm_.try_together("writing the checkpoint", [&] {
      if (leader && fence) fence();
      if (job_->error) std::rethrow_exception(job_->error);
    });
    const std::vector<std::string> shards = comm_.all_gather_text(shard_to_text(*job_->shard));
    comm_.try_on_rank_0("committing the checkpoint", [&] {
      try {
        result.size_bytes = commit_folder(run_, id_, folder_, shards, state_, fence);
      } catch (const Error&) {
        if (fence) fence();
        throw;
      }
    });
  } catch (...) {
    // Rank 0 alone: if the trouble is between the ranks, another one cannot know that rank 0 is not about to commit.
    if (leader) remove_quietly(folder_);
    throw;
  }
  if (leader) tidy_up(run_, id_, folder_);
  live_.reset();
  comm_.broadcast(&result.size_bytes, sizeof result.size_bytes, 0);
  result.seconds = steady_seconds() - start_;
  return result;
}

SaveResult save_checkpoint(Communicator& comm, const RunFolder& run, const CheckpointId& id,
                           const std::vector<TensorSlice>& slices, const nlohmann::json& state) {
  return PendingSave(comm, run, id, slices, state).commit();
}

}  // namespace nexus
