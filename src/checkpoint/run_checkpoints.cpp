// The checkpoints of one run: listing, choosing the one to resume from, pruning.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <set>
#include <tuple>

#include "checkpoint/checkpoint.h"
#include "checkpoint/layout.h"
#include "checkpoint/manifest.h"
#include "core/files.h"
#include "core/log.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;

CheckpointEntry examine(const StageEntry& folder, int64_t step, bool unreadable_too) {
  CheckpointEntry entry;
  entry.path = folder.path;
  entry.id.stage = folder.stage;
  entry.id.step = step;
  try {
    const Checkpoint checkpoint(folder.path, /*verify_data=*/false);
    entry.id = checkpoint.id();
    entry.sequence = checkpoint.sequence();
    entry.size_bytes = checkpoint.size_bytes();
    const nlohmann::json& state = checkpoint.state();
    if (!state.is_object()) return entry;
    if (state.contains("tokens") && state["tokens"].is_number_integer()) entry.tokens = state["tokens"];
    if (state.contains("pinned") && state["pinned"].is_boolean()) entry.pinned = state["pinned"];
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::kIo && !unreadable_too) throw;
    entry.problem = (e.kind() == ErrorKind::kIo ? "could not be read: " : "") + std::string(e.what());
  }
  return entry;
}

// Renames to *.bad. A failure to do so is no reason not to resume from the good one.
void quarantine(const std::string& path) {
  try {
    const std::string bad = quarantine_path(path);
    rename_durably(path, bad);
    warn("{} is kept as {}", path, bad);
  } catch (const Error& e) {
    warn("cannot set the checkpoint aside: {}", e.what());
  }
}

void set_aside(const RunFolder& run, const std::vector<std::string>& bad, const std::string& good) {
  if (bad.empty()) return;
  std::for_each(bad.begin(), bad.end(), quarantine);
  try {
    write_latest(run, good);
  } catch (const Error& e) {
    warn("LATEST does not name {}: {}", good, e.what());
  }
}

// Says what is lost by going back to `good` although `newest` had been there.
void warn_of_fallback(const CheckpointEntry& newest, const CheckpointEntry& good) {
  if (newest.id.stage == good.id.stage && newest.id.step > good.id.step)
    warn("falling back to {}: {} steps are lost", good.path, newest.id.step - good.id.step);
  else
    warn("falling back to {} from stage {} step {}", good.path, newest.id.stage, newest.id.step);
}

// Why this rank's part of a checkpoint cannot be resumed from; empty if it can. Trouble other than damage is thrown.
std::string problem_of(const std::string& path, const std::string& run_id, int part, int parts) {
  try {
    const Checkpoint checkpoint(path, /*verify_data=*/false);
    if (!run_id.empty()) checkpoint.require_run(run_id);
    checkpoint.verify(part, parts);
    checkpoint.require_finite(part, parts);
    if (part == 0)
      for (const std::string& name : checkpoint.extra_files()) warn("{} holds a file of no checkpoint: {}", path, name);
    return "";
  } catch (const OtherVersion&) {
    throw;
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kCheckpoint && e.kind() != ErrorKind::kNumeric) throw;
    return e.what();
  }
}

// Collective: the first rank's problem, the same on every rank.
std::string verify(Communicator& comm, const std::string& path, const std::string& run_id) {
  std::string problem;
  comm.try_together("verifying the checkpoint", [&] { problem = problem_of(path, run_id, comm.rank(), comm.size()); });
  for (const std::string& theirs : comm.all_gather_text(problem))
    if (!theirs.empty()) return theirs;
  return "";
}

// The checkpoints of a run from the newest on. Rank 0 lists them: file systems may show different ranks different
// folders. The others learn their number and get empty entries.
std::vector<CheckpointEntry> candidates(Communicator& comm, const RunFolder& run) {
  std::vector<CheckpointEntry> entries;
  comm.try_on_rank_0("listing the checkpoints", [&] { entries = list_checkpoints(run); });
  auto count = static_cast<int64_t>(entries.size());
  comm.broadcast(&count, sizeof count, 0);
  entries.resize(static_cast<size_t>(count));
  std::reverse(entries.begin(), entries.end());
  return entries;
}

std::string newest_good(Communicator& comm, const RunFolder& run, bool read_only, const std::string& run_id) {
  const bool leader = comm.rank() == 0;
  const std::vector<CheckpointEntry> entries = candidates(comm, run);
  std::vector<std::string> bad;
  for (const CheckpointEntry& entry : entries) {
    const std::string path = comm.broadcast_text(entry.path);
    const std::string problem = verify(comm, path, run_id);
    if (problem.empty()) {
      if (!bad.empty() && leader) warn_of_fallback(entries.front(), entry);
      if (!read_only && leader) set_aside(run, bad, path);
      comm.barrier();  // until then a rank might meet a folder that is about to be renamed
      return path;
    }
    if (leader) warn("checkpoint cannot be resumed from: {}", problem);
    bad.push_back(path);
  }
  if (bad.empty()) return "";
  throw Error(ErrorKind::kCheckpoint, fmt::format("none of {} checkpoints verifies", bad.size()), run.checkpoints(),
              "nothing was changed: restore one from a copy, or move the folder away to start afresh");
}

// Seconds since anything in a folder was last written. What cannot be told, because somebody is at work in the folder
// or it cannot be read, counts as written now.
double age_seconds(const std::string& folder) {
  try {
    fs::file_time_type last = fs::last_write_time(folder);
    for (const auto& entry : fs::directory_iterator(folder)) last = std::max(last, fs::last_write_time(entry.path()));
    return std::chrono::duration<double>(fs::file_time_type::clock::now() - last).count();
  } catch (const fs::filesystem_error&) {
    return 0;
  }
}

// A copy of a job that was stopped between its fence and here may have been followed by another: what that one is
// writing is no leftover.
void clear_leftovers(const RunFolder& run, const KeepPolicy& policy) {
  for (const StageEntry& entry : stage_entries(run)) {
    if (is_live(entry.path)) continue;
    const bool dead = is_trash_name(entry.name) ||
                      (is_temporary_name(entry.name) && generation_of_temporary(entry.name) <= policy.generation &&
                       age_seconds(entry.path) >= policy.min_temporary_age_seconds);
    if (dead && !remove_quietly(entry.path)) warn("cannot remove {}", entry.path);
  }
}

// The readable checkpoints that the policy gives up, oldest first.
std::vector<std::string> given_up(const std::vector<CheckpointEntry>& good, const KeepPolicy& policy) {
  std::set<std::string> pinned;
  for (const std::string& path : policy.pinned) pinned.insert(normal_path(path));
  std::map<std::string, std::string> last_of_stage;
  for (const CheckpointEntry& entry : good) last_of_stage[entry.id.stage] = entry.path;
  for (const auto& [stage, path] : last_of_stage) pinned.insert(normal_path(path));
  const size_t last = static_cast<size_t>(std::max(policy.keep_last, 1));
  std::vector<std::string> paths;
  for (size_t i = 0; i + last < good.size(); ++i)
    if (!good[i].pinned && !pinned.count(normal_path(good[i].path))) paths.push_back(good[i].path);
  return paths;
}

}  // namespace

std::vector<CheckpointEntry> list_checkpoints(const RunFolder& run, bool unreadable_too) {
  std::vector<CheckpointEntry> entries;
  for (const StageEntry& folder : stage_entries(run))
    if (const auto step = step_of_name(folder.name)) entries.push_back(examine(folder, *step, unreadable_too));
  std::stable_sort(entries.begin(), entries.end(), [](const CheckpointEntry& a, const CheckpointEntry& b) {
    return std::make_tuple(!a.problem.empty(), a.sequence, a.id.step) <
           std::make_tuple(!b.problem.empty(), b.sequence, b.id.step);
  });
  return entries;
}

int64_t newest_sequence(const RunFolder& run) {
  int64_t newest = 0;
  for (const CheckpointEntry& entry : list_checkpoints(run)) newest = std::max(newest, entry.sequence);
  return newest;
}

std::string newest_good_checkpoint(const RunFolder& run, bool read_only, const std::string& run_id) {
  return newest_good(*make_self_communicator(), run, read_only, run_id);
}

std::string newest_good_checkpoint(Communicator& comm, const RunFolder& run, const std::string& run_id) {
  return newest_good(comm, run, /*read_only=*/false, run_id);
}

void revoke_unfinished_saves(const RunFolder& run, int64_t generation) {
  for (const StageEntry& entry : stage_entries(run)) {
    if (!is_temporary_name(entry.name) || is_live(entry.path)) continue;
    if (generation_of_temporary(entry.name) > generation) continue;
    const std::string trash = trash_path(entry.path);
    std::error_code gone;  // its writer may just have renamed or removed it
    fs::rename(entry.path, trash, gone);
    if (!gone && !remove_quietly(trash)) warn("cannot remove {}", trash);
  }
}

std::vector<std::string> prune_checkpoints(const RunFolder& run, const KeepPolicy& policy, bool dry_run) {
  std::vector<CheckpointEntry> good = list_checkpoints(run);
  std::erase_if(good, [](const CheckpointEntry& entry) { return !entry.problem.empty(); });
  const std::vector<std::string> paths = given_up(good, policy);
  if (dry_run) return paths;
  if (!paths.empty() && normal_path(good.back().path) != normal_path(policy.verified))
    Checkpoint(good.back().path).require_finite();  // throws before anything is removed
  for (const std::string& path : paths) rename_durably(path, trash_path(path));
  clear_leftovers(run, policy);
  return paths;
}

}  // namespace nexus
