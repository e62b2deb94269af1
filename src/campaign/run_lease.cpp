#include "campaign/run_lease.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "campaign/known_commits.h"
#include "checkpoint/checkpoint.h"
#include "core/error.h"
#include "core/file_descriptor.h"
#include "core/files.h"
#include "core/host.h"
#include "core/json_text.h"
#include "core/log.h"
#include "system/clock.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxLeaseBytes = 64 << 10;
constexpr std::chrono::milliseconds kLook{250};
constexpr int kTries = 100;  // claimants that are faster than this one, one after another

std::string path_of(const RunFolder& run, int64_t generation) {
  return fmt::format("{}/{:06}.json", run.lease_folder(), generation);
}

// --- processes

// When a process of this machine started, in ticks since boot; nothing if there is none, or only its remains.
std::optional<int64_t> start_ticks_of(int64_t pid) {
  std::string text;
  try {
    text = read_text_file(fmt::format("/proc/{}/stat", pid), 1 << 16);
  } catch (const Error&) {
    return std::nullopt;
  }
  const size_t name_end = text.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos || name_end + 2 >= text.size() || text[name_end + 2] == 'Z') return std::nullopt;
  size_t at = name_end + 2;
  for (int field = 3; field < 22 && at != std::string::npos; ++field) at = text.find(' ', at + 1);
  if (at == std::string::npos) return std::nullopt;
  return std::atoll(text.c_str() + at + 1);
}

// Where process numbers mean what they mean here.
std::string this_machine() {
  std::string boot = read_text_file("/proc/sys/kernel/random/boot_id", 256);
  while (!boot.empty() && boot.back() == '\n') boot.pop_back();
  std::error_code none;
  return boot + " " + fs::read_symlink("/proc/self/ns/pid", none).string();
}

LeaseRecord this_process(int ranks, int nodes) {
  LeaseRecord record;
  record.host = host_name();
  record.machine = this_machine();
  record.pid = ::getpid();
  record.start_ticks = start_ticks_of(record.pid).value_or(0);
  record.job = slurm_job();
  record.ranks = ranks;
  record.nodes = nodes;
  return record;
}

// --- files
// A file that a crash left unfinished gives a record of its number alone: nothing renews that, so it counts as dead.
LeaseRecord read_lease(const RunFolder& run, int64_t generation) {
  LeaseRecord record;
  const std::string path = path_of(run, generation);
  try {
    record = lease_from_json({nlohmann::json::parse(read_text_file(path, kMaxLeaseBytes)), path});
  } catch (const std::exception& error) {
    warn("{} cannot be read: {}", path, error.what());
  }
  record.generation = generation;
  return record;
}

// "000012.json" -> 12
std::optional<int64_t> generation_of(const std::string& name) {
  int64_t generation = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), generation);
  if (error != std::errc() || std::string_view(end) != ".json" || generation < 1) return std::nullopt;
  return generation;
}

std::vector<int64_t> generations(const RunFolder& run) {
  std::vector<int64_t> found;
  std::error_code error;
  for (fs::directory_iterator entry(run.lease_folder(), error), end; !error && entry != end; entry.increment(error))
    if (const auto generation = generation_of(entry->path().filename().string())) found.push_back(*generation);
  if (error && error != std::errc::no_such_file_or_directory)
    throw Error(ErrorKind::kIo, "cannot list the run folder's leases: " + error.message(), run.lease_folder(),
                "check the file system, then run the same command again");
  std::sort(found.begin(), found.end());
  return found;
}

// --- owners
bool alive_here(const LeaseRecord& owner) {
  return start_ticks_of(owner.pid) == owner.start_ticks;
}

[[noreturn]] void refuse(const RunFolder& run, const LeaseRecord& owner) {
  const std::string job = owner.job ? ", job " + owner.job.id : "";
  throw Error(ErrorKind::kConfig,
              fmt::format("another job is working in this run folder (generation {}, process {} on {}{})",
                          owner.generation, owner.pid, owner.host, job),
              run.root, "wait for it, stop it (touch STOP in the folder), or choose another --out");
}

// Returns when the owner is dead, has let go, or has been followed by another. Times are of this machine's steady
// clock, and an owner elsewhere is judged by whether its file changes: wall clocks may differ.
void outlive(const RunFolder& run, const LeaseRecord& owner, const LeaseTimes& times) {
  const bool here = owner.machine == this_machine();
  const double end = steady_seconds() + (here ? times.dying_seconds : times.expiry_seconds);
  if (!here && !owner.machine.empty())
    log("waiting up to {:.0f} s for a sign of life of generation {} on {}", times.expiry_seconds, owner.generation,
        owner.host);
  while (steady_seconds() < end) {
    if (here && !alive_here(owner)) return;
    const std::vector<int64_t> all = generations(run);
    if (all.empty() || all.back() != owner.generation) return;
    const LeaseRecord now = read_lease(run, owner.generation);
    if (now.released) return;
    if (!here && now.renewals != owner.renewals) refuse(run, now);
    std::this_thread::sleep_for(kLook);
  }
  if (here) refuse(run, owner);
}

// Readers drop what lower generations write, so the count must not begin anew where leases were removed or not copied.
int64_t next_generation(const RunFolder& run, const std::vector<LeaseRecord>& earlier) {
  const int64_t newest = earlier.empty() ? 0 : earlier.back().generation;
  const int64_t recorded = recorded_generation(run);
  if (recorded > newest)
    warn("the leases of generations {} to {} are gone from {}: the hours of these launches are not counted any more",
         newest + 1, recorded, run.lease_folder());
  return std::max(newest, recorded) + 1;
}

// Slurm has started this job again, so it holds the older start for dead, whatever the truth is.
bool is_older_start(const LeaseRecord& owner, const SlurmJob& job) {
  return job && owner.job.id == job.id && owner.job.restart < job.restart;
}

}  // namespace

std::vector<LeaseRecord> read_leases(const RunFolder& run) {
  std::vector<LeaseRecord> leases;
  for (const int64_t generation : generations(run)) leases.push_back(read_lease(run, generation));
  return leases;
}

Liveness liveness_here(const LeaseRecord& lease) {
  if (lease.released) return Liveness::kGone;
  if (lease.machine != this_machine()) return Liveness::kElsewhere;
  return alive_here(lease) ? Liveness::kLives : Liveness::kGone;
}

bool owns_run(const RunFolder& run, int64_t generation) {
  try {
    const std::vector<int64_t> all = generations(run);
    return !all.empty() && all.back() == generation;
  } catch (const Error&) {
    return false;
  }
}

RunUsage usage_of(const std::vector<LeaseRecord>& leases) {
  RunUsage usage;
  for (const LeaseRecord& lease : leases) {
    usage.rank_hours += lease.seconds * static_cast<double>(lease.ranks) / 3600;
    usage.node_hours += lease.seconds * static_cast<double>(lease.nodes) / 3600;
  }
  return usage;
}

RunLease::RunLease(const RunFolder& run, int ranks, int nodes, std::function<void(const std::string&)> on_lost,
                   const LeaseTimes& times)
    : run_(run), mine_(this_process(ranks, nodes)), on_lost_(std::move(on_lost)), start_(steady_seconds()) {
  make_folders(run.lease_folder());
  claim(times);
  revoke_unfinished_saves(run, mine_.generation);
  thread_ = std::thread(&RunLease::renew_until_released, this, times.renew_seconds);
}

RunLease::~RunLease() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void RunLease::claim(const LeaseTimes& times) {
  for (int tries = 0; tries < kTries; ++tries) {
    earlier_ = read_leases(run_);
    if (!earlier_.empty() && !earlier_.back().released && !is_older_start(earlier_.back(), mine_.job)) {
      const int64_t judged = earlier_.back().generation;
      outlive(run_, earlier_.back(), times);
      earlier_ = read_leases(run_);
      if (earlier_.empty() || earlier_.back().generation != judged) continue;  // another one was faster: judge it
    }
    if (claimed(next_generation(run_, earlier_))) return;
  }
  throw Error(ErrorKind::kIo, fmt::format("{} other jobs claimed the run folder first", kTries), run_.root,
              "run the same command again");
}

// Whether this process is the one that made the generation's file. It appears with its content.
bool RunLease::claimed(int64_t generation) {
  mine_.generation = generation;
  const std::string path = path_of(run_, generation);
  const std::string draft = fmt::format("{}.{}-{}", path, mine_.host, mine_.pid);
  write_file_durably(draft, json_text(to_json(mine_)) + "\n");
  int failure = ::link(draft.c_str(), path.c_str()) == 0 ? 0 : errno;
  struct stat info {};
  if (failure == EEXIST && ::stat(draft.c_str(), &info) == 0 && info.st_nlink == 2) failure = 0;  // a lost answer
  ::unlink(draft.c_str());
  if (failure == EEXIST) return false;
  if (failure == EPERM || failure == EOPNOTSUPP || failure == ENOSYS) {  // a file system without hard links
    const FileDescriptor made(path, O_WRONLY | O_CREAT | O_EXCL);
    if (!made.is_open() && errno == EEXIST) return false;
    if (!made.is_open()) throw_errno("create", path);
    write_file_durably(path, json_text(to_json(mine_)) + "\n");
  } else if (failure != 0) {
    errno = failure;
    throw_errno("link", path);
  }
  fsync_path(run_.lease_folder());
  return true;
}

void RunLease::require_current() const {
  const std::vector<int64_t> all = generations(run_);
  if (!all.empty() && all.back() == mine_.generation) return;
  if (all.empty())
    throw Error(ErrorKind::kIo, "the run folder's lease is gone", run_.lease_folder(),
                "was the folder moved or removed under a running job?");
  throw Error(ErrorKind::kFenced,
              fmt::format("generation {} has taken this run over from generation {}", all.back(), mine_.generation),
              run_.root, "nothing: the newer copy goes on");
}

// On the thread. Signals are for the main one.
void RunLease::renew_until_released(double period_seconds) {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  const std::chrono::duration<double> period(period_seconds);
  bool warned = false;
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, period, [this] { return ending_; })) {
    try {
      require_current();
      write(false);
      warned = false;
    } catch (const std::exception& error) {
      const auto* ours = dynamic_cast<const Error*>(&error);
      if (ours != nullptr && ours->kind() == ErrorKind::kFenced) {
        lock.unlock();
        on_lost_(error.what());
        return;
      }
      if (!warned) warn("the run folder's lease cannot be renewed: {}", error.what());  // the fence holds without it
      warned = true;
    }
  }
  try {
    write(true);
  } catch (const Error&) {  // the process ends, which says the same
  }
}

void RunLease::write(bool released) {
  mine_.seconds = seconds_now();
  ++mine_.renewals;
  mine_.released = released;
  replace_file(path_of(run_, mine_.generation), json_text(to_json(mine_)) + "\n");
}

double RunLease::seconds_now() const {
  return steady_seconds() - start_;
}

RunUsage RunLease::usage() const {
  RunUsage usage = usage_of(earlier_);
  LeaseRecord now;
  now.ranks = mine_.ranks;
  now.nodes = mine_.nodes;
  now.seconds = seconds_now();
  const RunUsage own = usage_of({now});
  return {usage.rank_hours + own.rank_hours, usage.node_hours + own.node_hours};
}

double RunLease::latest_save_seconds() const {
  const std::lock_guard lock(mutex_);
  double latest = mine_.save_seconds;
  for (auto lease = earlier_.rbegin(); lease != earlier_.rend() && latest == 0; ++lease) latest = lease->save_seconds;
  return latest;
}

void RunLease::note_commit(double save_seconds) {
  const std::lock_guard lock(mutex_);
  mine_.save_seconds = save_seconds;
  ++mine_.commits;
  try {
    write(false);
  } catch (const Error&) {  // the next renewal says it, or why it cannot
  }
}

void RunLease::note_end(const LaunchEnd& end) {
  const std::lock_guard lock(mutex_);
  mine_.end = end;
}

void RunLease::note_found(int64_t sequence) {
  const std::lock_guard lock(mutex_);
  mine_.found = sequence;
  write(false);
}

}  // namespace nexus
