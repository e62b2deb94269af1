#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "checkpoint/layout.h"
#include "checkpoint/manifest.h"
#include "checkpoint/raw_file.h"
#include "checkpoint/retry_io.h"
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

[[noreturn]] void throw_io(const std::string& operation, const std::error_code& code, const std::string& path) {
  throw Error(ErrorKind::kIo, fmt::format("cannot {}: {}", operation, code.message()), path,
              "check the path and its permissions");
}

int64_t size_of_file(const std::string& path) {
  std::error_code code;
  const auto size_bytes = static_cast<int64_t>(fs::file_size(path, code));
  if (code) throw_io("stat", code, path);
  return size_bytes;
}

// Sorted.
std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  try {
    for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  } catch (const fs::filesystem_error& e) {
    throw_io("list folder", e.code(), folder);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Regular, and as long as the manifest says.
void check_file(const std::string& path, const FileRecord& file) {
  const fs::file_status status = require_status(path);
  if (status.type() == fs::file_type::not_found) throw_damaged("file is missing", path);
  if (status.type() != fs::file_type::regular) throw_damaged("not a regular file", path);
  const int64_t size_bytes = size_of_file(path);
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
  int64_t manifest_bytes = 0;
  nlohmann::json document, state;
  std::map<std::string, TensorInfo> infos;
  mutable std::map<std::string, ShardReader> shards;  // opened when first needed

  Impl(const std::string& folder, bool verify_data) : path(normal_path(folder)) {
    retry_io([this] {
      manifest = read_manifest(path, &document);
      manifest_bytes = size_of_file(path + "/" + kManifestName);
      check_folder_name(path, manifest.id);
      for (const FileRecord& file : manifest.files) check_file(path + "/" + file.name, file);
      for (const FileRecord& file : manifest.files)
        if (file.name == kStateName) state = read_state(path, file);
    });
    for (const auto& [name, tensor] : manifest.tensors) infos[name] = {tensor.dtype, tensor.shape};
    if (verify_data) verify(0, 1);
  }

  struct NamedSlice {
    const std::string& name;
    const TensorRecord& tensor;
    const SliceRecord& slice;
  };

  // Calls visit(file, its path, its slices) for every file number part, part + parts, ...; again where reading fails.
  template <typename Visit>
  void for_files(int part, int parts, const Visit& visit) const {
    std::map<std::string, std::vector<NamedSlice>> slices_of;
    for (const auto& [name, tensor] : manifest.tensors)
      for (const SliceRecord& slice : tensor.slices) slices_of[slice.file].push_back({name, tensor, slice});
    for (size_t i = static_cast<size_t>(part); i < manifest.files.size(); i += static_cast<size_t>(parts)) {
      const FileRecord& file = manifest.files[i];
      look_twice([&] { visit(file, path + "/" + file.name, slices_of[file.name]); });
    }
  }

  // A file's digest first: HDF5 sees none that could have been changed. One file is open at a time.
  void verify(int part, int parts) const {
    for_files(part, parts, [](const FileRecord& file, const std::string& file_path, const auto& slices) {
      if (RawFile(file_path).digest(file.size_bytes) != file.digest)
        throw_damaged("file does not match its digest in the manifest", file_path);
      if (slices.empty()) return;
      const ShardReader reader(file_path);
      for (const NamedSlice& of : slices) reader.check(of.name, of.tensor, of.slice);
    });
  }

  void require_finite(int part, int parts) const {
    for_files(part, parts, [](const FileRecord&, const std::string& file_path, const auto& slices) {
      if (slices.empty()) return;
      const ShardReader reader(file_path);
      for (const NamedSlice& of : slices) reader.require_finite(of.name, of.tensor, of.slice);
    });
  }

  // Opens the file anew where reading it fails: a handle may have become stale.
  void read(const std::string& name, const SliceRecord& slice, const Box& cut, char* target, int64_t pitch) const {
    look_twice([&] {
      try {
        const ShardReader& reader = shards.try_emplace(slice.file, path + "/" + slice.file).first->second;
        reader.read(name, tensor(name), slice, cut, target, pitch);
      } catch (...) {
        shards.erase(slice.file);
        throw;
      }
    });
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

void Checkpoint::require_finite(int part, int parts) const {
  NX_CHECK(part >= 0 && part < parts, "part {} of {}", part, parts);
  impl_->require_finite(part, parts);
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
  return impl_->manifest.size_bytes() + impl_->manifest_bytes;
}

std::vector<std::string> Checkpoint::extra_files() const {
  std::set<std::string> known = {kManifestName};
  for (const FileRecord& file : impl_->manifest.files) known.insert(file.name);
  std::vector<std::string> extra;
  for (const std::string& name : retry_io([this] { return names_in(impl_->path); }))
    if (!known.contains(name)) extra.push_back(name);
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
    impl_->read(name, slice, cut, target, pitch);
  }
}

}  // namespace nexus
