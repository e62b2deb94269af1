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

CheckpointEntry examine(const StageEntry& folder, int64_t step) {
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
    entry.problem = e.what();
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

// Says what is lost by going back to `good` although `newest` had been there.
void warn_of_fallback(const CheckpointEntry& newest, const CheckpointEntry& good) {
  if (newest.id.stage == good.id.stage && newest.id.step > good.id.step)
    warn("falling back to {}: {} steps are lost", good.path, newest.id.step - good.id.step);
  else
    warn("falling back to {} from stage {} step {}", good.path, newest.id.stage, newest.id.step);
}

// Why a checkpoint cannot be resumed from; empty if it can. Trouble other than damage is thrown.
std::string verify(const std::string& path, const std::string& run_id) {
  try {
    const Checkpoint checkpoint(path);
    if (!run_id.empty()) checkpoint.require_run(run_id);
    for (const std::string& name : checkpoint.extra_files()) warn("{} holds a file of no checkpoint: {}", path, name);
    return "";
  } catch (const OtherVersion&) {
    throw;
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kCheckpoint) throw;
    return e.what();
  }
}

// Seconds since anything in a folder was last written.
double age_seconds(const std::string& folder) {
  std::error_code code;
  fs::file_time_type last = fs::last_write_time(folder, code);
  for (const auto& entry : fs::directory_iterator(folder, code))
    last = std::max(last, fs::last_write_time(entry.path(), code));
  return std::chrono::duration<double>(fs::file_time_type::clock::now() - last).count();
}

void clear_leftovers(const RunFolder& run, double min_temporary_age_seconds) {
  for (const StageEntry& entry : stage_entries(run)) {
    const bool dead = is_trash_name(entry.name) ||
                      (is_temporary_name(entry.name) && age_seconds(entry.path) >= min_temporary_age_seconds);
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

std::vector<CheckpointEntry> list_checkpoints(const RunFolder& run) {
  std::vector<CheckpointEntry> entries;
  for (const StageEntry& folder : stage_entries(run))
    if (const auto step = step_of_name(folder.name)) entries.push_back(examine(folder, *step));
  std::stable_sort(entries.begin(), entries.end(), [](const CheckpointEntry& a, const CheckpointEntry& b) {
    return std::make_tuple(!a.problem.empty(), a.sequence, a.id.step) <
           std::make_tuple(!b.problem.empty(), b.sequence, b.id.step);
  });
  return entries;
}

std::string newest_good_checkpoint(const RunFolder& run, bool read_only, const std::string& run_id) {
  const std::vector<CheckpointEntry> entries = list_checkpoints(run);
  std::vector<std::string> bad;
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    const std::string problem = verify(entry->path, run_id);
    if (problem.empty()) {
      if (!bad.empty()) warn_of_fallback(entries.back(), *entry);
      if (!read_only) std::for_each(bad.begin(), bad.end(), quarantine);
      return entry->path;
    }
    warn("checkpoint does not verify: {}", problem);
    bad.push_back(entry->path);
  }
  if (bad.empty()) return "";
  throw Error(ErrorKind::kCheckpoint, fmt::format("none of {} checkpoints verifies", bad.size()), run.checkpoints(),
              "nothing was changed: restore one from a copy, or move the folder away to start afresh");
}

std::vector<std::string> prune_checkpoints(const RunFolder& run, const KeepPolicy& policy, bool dry_run) {
  std::vector<CheckpointEntry> good = list_checkpoints(run);
  std::erase_if(good, [](const CheckpointEntry& entry) { return !entry.problem.empty(); });
  const std::vector<std::string> paths = given_up(good, policy);
  if (dry_run) return paths;
  if (!paths.empty() && normal_path(good.back().path) != normal_path(policy.verified))
    static_cast<void>(Checkpoint(good.back().path));  // throws before anything is removed
  for (const std::string& path : paths) rename_durably(path, trash_path(path));
  clear_leftovers(run, policy.min_temporary_age_seconds);
  return paths;
}

}  // namespace nexus
