#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "checkpoint/layout.h"
#include "checkpoint/manifest.h"
#include "checkpoint/shard.h"
#include "checkpoint/strict_json.h"
#include "core/files.h"
#include "core/hash.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxStateDepth = 64;

// A renamed or misplaced folder must not pass for another step. Copies under other names (exports) are free.
void check_folder_name(const std::string& path, const CheckpointId& id) {
  const fs::path folder(path), stage = folder.parent_path();
  const auto step = step_of_name(folder.filename().string());
  if (!step) return;
  const bool in_run = stage.parent_path().filename() == "checkpoints";
  if (*step == id.step && (!in_run || stage.filename() == id.stage)) return;
  throw_damaged(fmt::format("the folder holds stage {} step {}: it was renamed or moved", id.stage, id.step), path);
}

// Regular, and as long as the manifest says.
void check_file(const std::string& path, const FileRecord& file) {
  std::error_code code;
  const fs::file_status status = fs::symlink_status(path, code);
  if (status.type() == fs::file_type::not_found) throw_damaged("file is missing", path);
  if (code) throw Error(ErrorKind::kIo, "cannot stat: " + code.message(), path, "check the path and its permissions");
  if (status.type() != fs::file_type::regular) throw_damaged("not a regular file", path);
  const auto size_bytes = static_cast<int64_t>(fs::file_size(path, code));
  if (code) throw Error(ErrorKind::kIo, "cannot stat: " + code.message(), path, "check the path and its permissions");
  if (size_bytes != file.size_bytes)
    throw_damaged(fmt::format("file has {} bytes, the manifest says {}", size_bytes, file.size_bytes), path);
}

nlohmann::json read_state(const std::string& folder, const FileRecord& file) {
  const std::string path = folder + "/" + kStateName;
  if (file.size_bytes > kMaxStateBytes) throw_damaged("state.json is absurdly large", path);
  const std::string text = read_text_file(path, kMaxStateBytes);
  if (hash_text(text) != file.digest) throw_damaged("file does not match its digest in the manifest", path);
  return parse_strict_json(text, path, kMaxStateDepth);
}

}  // namespace

struct Checkpoint::Impl {
  std::string path;
  Manifest manifest;
  nlohmann::json document, state;
  std::map<std::string, TensorInfo> infos;
  mutable std::map<std::string, ShardReader> shards;  // opened when first needed

  Impl(const std::string& folder, bool verify_data) : path(normal_path(folder)) {
    manifest = read_manifest(path, &document);
    check_folder_name(path, manifest.id);
    for (const FileRecord& file : manifest.files) check_file(path + "/" + file.name, file);
    for (const FileRecord& file : manifest.files)
      if (file.name == kStateName) state = read_state(path, file);
    for (const auto& [name, tensor] : manifest.tensors) infos[name] = {tensor.dtype, tensor.shape};
    if (verify_data) verify(0, 1);
  }

  // A file's digest first: HDF5 sees none that could have been changed. One file is open at a time.
  void verify(int part, int parts) const {
    std::map<std::string, std::vector<std::pair<const std::string*, const SliceRecord*>>> slices_of;
    for (const auto& [name, tensor] : manifest.tensors)
      for (const SliceRecord& slice : tensor.slices) slices_of[slice.file].emplace_back(&name, &slice);
    for (size_t i = static_cast<size_t>(part); i < manifest.files.size(); i += static_cast<size_t>(parts)) {
      const FileRecord& file = manifest.files[i];
      const std::string file_path = path + "/" + file.name;
      if (hash_file(file_path) != file.digest)
        throw_damaged("file does not match its digest in the manifest", file_path);
      if (!slices_of.contains(file.name)) continue;
      const ShardReader reader(file_path);
      for (const auto& [name, slice] : slices_of[file.name]) reader.check(*name, manifest.tensors.at(*name), *slice);
    }
  }

  const ShardReader& shard(const std::string& file) const {
    return shards.try_emplace(file, path + "/" + file).first->second;
  }

  const TensorRecord& tensor(const std::string& name) const {
    const auto found = manifest.tensors.find(name);
    if (found == manifest.tensors.end())
      throw Error(ErrorKind::kCheckpoint, fmt::format("no tensor '{}' in this checkpoint", name), path,
                  "check that the checkpoint belongs to this model (`nexus ckpt info` lists its tensors)");
    return found->second;
  }
};

Checkpoint::Checkpoint(const std::string& path, bool verify_data) : impl_(std::make_unique<Impl>(path, verify_data)) {}
Checkpoint::~Checkpoint() = default;
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;

void Checkpoint::verify(int part, int parts) const {
  NX_CHECK(part >= 0 && part < parts, "part {} of {}", part, parts);
  impl_->verify(part, parts);
}

const std::string& Checkpoint::path() const {
  return impl_->path;
}
const CheckpointId& Checkpoint::id() const {
  return impl_->manifest.id;
}
int64_t Checkpoint::sequence() const {
  return impl_->manifest.sequence;
}
const nlohmann::json& Checkpoint::state() const {
  return impl_->state;
}
const nlohmann::json& Checkpoint::manifest() const {
  return impl_->document;
}
bool Checkpoint::contains(const std::string& name) const {
  return impl_->manifest.tensors.count(name) != 0;
}

std::vector<std::string> Checkpoint::tensor_names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : impl_->manifest.tensors) names.push_back(name);
  return names;
}

const Checkpoint::TensorInfo& Checkpoint::info(const std::string& name) const {
  static_cast<void>(impl_->tensor(name));  // throws if absent
  return impl_->infos.at(name);
}

int64_t Checkpoint::size_bytes() const {
  return impl_->manifest.size_bytes() + static_cast<int64_t>(fs::file_size(impl_->path + "/" + kManifestName));
}

std::vector<std::string> Checkpoint::extra_files() const {
  std::set<std::string> known = {kManifestName};
  for (const FileRecord& file : impl_->manifest.files) known.insert(file.name);
  std::vector<std::string> extra;
  for (const auto& entry : fs::directory_iterator(impl_->path))
    if (!known.count(entry.path().filename().string())) extra.push_back(entry.path().filename().string());
  std::sort(extra.begin(), extra.end());
  return extra;
}

void Checkpoint::require_run(const std::string& run_id) const {
  if (id().run_id == run_id) return;
  throw_damaged(fmt::format("this is a checkpoint of run {}, not of run {}", id().run_id, run_id), impl_->path);
}

void Checkpoint::read(const std::string& name, const Box& box, void* host) const {
  const TensorRecord& tensor = impl_->tensor(name);
  if (box.empty()) return;
  NX_CHECK(intersection(box, whole_box(tensor.shape)) == box, "rows {}+{}, columns {}+{} of '{}' {}", box.begin_row,
           box.rows, box.begin_column, box.columns, name, tensor.shape.str());
  const int64_t element = size_of(tensor.dtype), pitch = box.columns * element;
  for (const SliceRecord& slice : tensor.slices) {
    const Box cut = intersection(slice.box, box);
    if (cut.empty()) continue;
    char* target = static_cast<char*>(host) + (cut.begin_row - box.begin_row) * pitch +
                   (cut.begin_column - box.begin_column) * element;
    impl_->shard(slice.file).read(name, tensor, slice, cut, target, pitch);
  }
}

}  // namespace nexus
