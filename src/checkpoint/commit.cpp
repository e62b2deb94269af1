#include "checkpoint/commit.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "checkpoint/fault_points.h"
#include "checkpoint/layout.h"
#include "checkpoint/strict_json.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/json_text.h"
#include "core/log.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

int64_t next_sequence(const RunFolder& run) {
  int64_t last = 0;
  for (const CheckpointEntry& entry : list_checkpoints(run)) last = std::max(last, entry.sequence);
  return last + 1;
}

// Adds what one rank has written.
void merge_shard(Manifest& manifest, const std::string& text) {
  if (text.empty()) return;
  const std::string where = "a rank's list of its shard";
  const json shard = parse_strict_json(text, where, 8);
  manifest.files.push_back(file_from_json(shard.at("file"), where));
  for (auto& [name, theirs] : tensors_from_json(shard.at("tensors"), where)) {
    const auto [found, added] = manifest.tensors.emplace(name, theirs);
    if (added) continue;
    TensorRecord& ours = found->second;
    NX_CHECK(ours.dtype == theirs.dtype && ours.shape == theirs.shape, "ranks disagree on the shape of '{}'", name);
    ours.slices.insert(ours.slices.end(), theirs.slices.begin(), theirs.slices.end());
  }
}

// Slices that do not cover their tensors are a bug of the caller, not damage on disk.
void check_own_manifest(const Manifest& manifest) {
  try {
    check_manifest(manifest, "the slices given to save_checkpoint");
  } catch (const Error& e) {
    NX_CHECK(false, "{}", e.what());
  }
}

Manifest make_manifest(const RunFolder& run, const CheckpointId& id, const std::vector<std::string>& shards,
                       const std::string& state) {
  Manifest manifest;
  manifest.sequence = next_sequence(run);
  manifest.id = id;
  manifest.hdf5 = hdf5_version();
  for (const std::string& text : shards) merge_shard(manifest, text);
  for (auto& [name, tensor] : manifest.tensors)
    std::sort(tensor.slices.begin(), tensor.slices.end(), [](const SliceRecord& a, const SliceRecord& b) {
      return std::pair(a.box.begin_row, a.box.begin_column) < std::pair(b.box.begin_row, b.box.begin_column);
    });
  manifest.files.push_back({kStateName, static_cast<int64_t>(state.size()), hash_text(state)});
  check_own_manifest(manifest);
  return manifest;
}

// The commit. An existing checkpoint of the same step changes places with the new one, so that at no moment neither is
// there. File systems without the exchange (some network ones) get two renames: a crash between them leaves the older
// checkpoints.
void put_in_place(const std::string& temporary, const std::string& path) {
  if (!path_exists(path)) return rename_durably(temporary, path);
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0)
    return fsync_path(fs::path(path).parent_path().string());
  if (errno != EINVAL && errno != ENOSYS) throw_errno("rename", temporary);
  const std::string trash = trash_path(path);
  rename_durably(path, trash);
  try {
    rename_durably(temporary, path);
  } catch (const Error&) {
    rename_durably(trash, path);
    throw;
  }
  remove_quietly(trash);
}

}  // namespace

std::string make_temporary_folder(const RunFolder& run, const CheckpointId& id, int64_t generation) {
  NX_CHECK(is_safe_name(id.stage) && id.stage != "LATEST" && id.step >= 0, "stage '{}' step {}", id.stage, id.step);
  const std::string path = run.checkpoint(id.stage, id.step);
  const std::string stage_folder = fs::path(path).parent_path().string();
  if (!path_exists(stage_folder)) {
    make_folders(stage_folder);
    fsync_path(run.checkpoints());
    fsync_path(run.root);
  }
  fault_point("folder");
  const std::string temporary = temporary_path(path, generation);
  make_folders(temporary);
  return temporary;
}

std::string shard_to_text(const ShardRecord& shard) {
  if (shard.file.name.empty()) return "";
  return json_text(ordered_json{{"file", file_to_json(shard.file)}, {"tensors", tensors_to_json(shard.tensors)}});
}

int64_t commit_folder(const RunFolder& run, const CheckpointId& id, const std::string& temporary,
                      const std::vector<std::string>& shards, const json& state, const Fence& fence) {
  const std::string state_text = json_text(state, 1) + "\n";
  const Manifest manifest = make_manifest(run, id, shards, state_text);
  const std::string manifest_text = manifest_to_text(manifest);
  NX_CHECK(static_cast<int64_t>(state_text.size()) <= kMaxStateBytes, "state of {} bytes", state_text.size());
  NX_CHECK(static_cast<int64_t>(manifest_text.size()) <= kMaxManifestBytes, "manifest of {} bytes",
           manifest_text.size());
  fault_point("state-write");
  write_file_durably(temporary + "/" + kStateName, state_text);
  fault_point("manifest-write");
  write_file_durably(temporary + "/" + kManifestName, manifest_text);  // its fsync of the folder covers all names in it
  fault_point("rename");
  if (fence) fence();
  put_in_place(temporary, run.checkpoint(id.stage, id.step));
  return manifest.size_bytes() + static_cast<int64_t>(manifest_text.size());
}

void tidy_up(const RunFolder& run, const CheckpointId& id, const std::string& temporary) noexcept {
  try {
    fault_point("latest");
    write_latest(run, run.checkpoint(id.stage, id.step));
    fault_point("old-remove");
    // After an exchange, `temporary` holds the older checkpoint.
    if (!remove_quietly(temporary)) warn("cannot remove {}: it is left behind and harmless", temporary);
  } catch (const std::exception& e) {
    warn("checkpoint {} step {} is committed, but tidying up failed: {}", id.stage, id.step, e.what());
  }
}

}  // namespace nexus
