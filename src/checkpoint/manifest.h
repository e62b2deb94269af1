// MANIFEST.json: what a checkpoint consists of, and the digests that prove it. docs/checkpoints.md describes the
// fields.
//
// The manifest is the authority: a reader learns every name, type, shape and digest from it before HDF5 opens a file.
// Its last line is the XXH3-128 of all bytes before that line; every format version keeps that, so that damage and a
// different version can be told apart.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace nexus {

inline constexpr const char* kManifestName = "MANIFEST.json";
inline constexpr const char* kStateName = "state.json";
inline constexpr int64_t kFormatVersion = 2;            // written
inline constexpr int64_t kOldestVersion = 1;            // slices of whole rows only; still read
inline constexpr int64_t kMaxManifestBytes = 128 << 20;  // 100,000 slices take 20 MiB, 4096 ranks of a 250M model 80 MB
inline constexpr int64_t kMaxStateBytes = 16 << 20;

struct FileRecord {
  std::string name;
  int64_t size_bytes = 0;
  std::string digest;  // XXH3-128 of the whole file
};

// A box of a tensor, held by one file.
struct SliceRecord {
  std::string file;
  Box box;
  std::string digest;  // XXH3-128 of the box in memory, before it was written
};

struct TensorRecord {
  DType dtype = DType::kF32;
  Shape shape;
  std::vector<SliceRecord> slices;  // by first row, then first column

  int64_t size_bytes(const Box& box) const { return box.count() * size_of(dtype); }
  bool whole_rows(const Box& box) const { return box.columns == columns_of(shape); }
};

struct Manifest {
  int64_t sequence = 0;  // order of commits within a run, from 1
  CheckpointId id;
  std::string hdf5;  // version of the library that wrote the shards
  std::vector<FileRecord> files;
  std::map<std::string, TensorRecord> tensors;

  int64_t size_bytes() const;  // of the files
};

// A checkpoint of another format version: intact, but not for this build. Never treated as damage.
class OtherVersion : public Error {
 public:
  using Error::Error;
};

// Checks the manifest's own rules (names, bounds, exact cover, sizes) and throws kCheckpoint naming `where`.
void check_manifest(const Manifest& manifest, const std::string& where);

std::string manifest_to_text(const Manifest& manifest);
// `json`, if given, receives the parsed document.
Manifest manifest_from_text(const std::string& text, const std::string& where, nlohmann::json* json = nullptr);
Manifest read_manifest(const std::string& folder, nlohmann::json* json = nullptr);

// The "tensors" list of the manifest; ranks send each other theirs in this form.
nlohmann::ordered_json tensors_to_json(const std::map<std::string, TensorRecord>& tensors);
std::map<std::string, TensorRecord> tensors_from_json(const nlohmann::json& list, const std::string& where,
                                                      int64_t version = kFormatVersion);
nlohmann::ordered_json file_to_json(const FileRecord& file);
FileRecord file_from_json(const nlohmann::json& object, const std::string& where);

// [A-Za-z0-9._/-]{1,200}, path components neither empty nor "." nor containing "..".
bool is_tensor_name(const std::string& name);

// Where a slice lies inside its shard: the tensor's name, plus "@FIRST_ROW" unless the slice is the whole tensor, plus
// ",FIRST_COLUMN" unless it is whole rows. Disjoint boxes have different corners, so no two share a name.
std::string dataset_name(const std::string& tensor, const TensorRecord& record, const SliceRecord& slice);

}  // namespace nexus
