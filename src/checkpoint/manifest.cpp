#include "checkpoint/manifest.h"

#include <algorithm>
#include <set>

#include "checkpoint/cover.h"
#include "checkpoint/misnamed.h"
#include "checkpoint/raw_file.h"
#include "checkpoint/strict_json.h"
#include "core/ascii.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/json_text.h"

namespace nexus {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kFormatName = "nexus-checkpoint";
constexpr int kMaxDepth = 8;
constexpr int64_t kMaxBytes = int64_t{1} << 62;

// The last line, which proves all bytes before it.
std::string seal_of(std::string_view body) {
  return ",\n \"digest\": \"" + hash_text(body) + "\"\n}\n";
}

DType dtype_from(const std::string& text, const std::string& where) {
  if (text == name_of(DType::kF32)) return DType::kF32;
  if (text == name_of(DType::kF64)) return DType::kF64;
  throw_damaged(fmt::format("unknown dtype '{}'", text), where);
}

const std::string& digest_from(FieldReader& fields, const std::string& where) {
  const std::string& text = fields.text("xxh3_128");
  const bool hex =
      std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (text.size() != 32 || !hex) throw_damaged("'xxh3_128' is not 32 hexadecimal digits", where);
  return text;
}

Shape shape_from(const json& list, const std::string& where) {
  if (list.empty() || list.size() > Shape::kMaxRank) throw_damaged(fmt::format("rank {}", list.size()), where);
  std::vector<int64_t> extents;
  int64_t bytes = 8;  // the largest element
  for (const json& value : list) {
    extents.push_back(strict_integer(value, 1, kMaxBytes, "shape", where));
    if (__builtin_mul_overflow(bytes, extents.back(), &bytes) || bytes > kMaxBytes)
      throw_damaged(fmt::format("shape {} is absurdly large", json_text(list)), where);
  }
  return Shape(extents);
}

// A slice of whole rows does not state its columns; version 1 knew no other.
SliceRecord slice_from_json(const json& object, const Shape& shape, int64_t version, const std::string& where) {
  FieldReader fields(object, where);
  SliceRecord slice;
  slice.file = fields.text("file");
  const int64_t columns = columns_of(shape);
  slice.box = {fields.integer("begin_row", 0, shape[0] - 1), fields.integer("rows", 1, shape[0]), 0, columns};
  if (version > 1 && fields.contains("columns")) {
    slice.box.begin_column = fields.integer("begin_column", 0, columns - 1);
    slice.box.columns = fields.integer("columns", 1, columns);
  }
  slice.digest = digest_from(fields, where);
  fields.finish();
  return slice;
}

TensorRecord tensor_from_json(const json& object, const std::string& name, int64_t version, const std::string& where) {
  FieldReader fields(object, where);
  TensorRecord tensor;
  static_cast<void>(fields.text("name"));
  const std::string place = where + " tensor " + name;
  tensor.dtype = dtype_from(fields.text("dtype"), place);
  tensor.shape = shape_from(fields.array("shape"), place);
  for (const json& item : fields.array("slices"))
    tensor.slices.push_back(slice_from_json(item, tensor.shape, version, place));
  fields.finish();
  return tensor;
}

// Every element exactly once.
void check_cover(const std::string& name, const TensorRecord& tensor, const std::string& where) {
  std::vector<Box> boxes;
  for (const SliceRecord& slice : tensor.slices) boxes.push_back(slice.box);
  const std::string problem = cover_problem(name, boxes, tensor.shape[0], columns_of(tensor.shape));
  if (!problem.empty()) throw_damaged(problem, where);
}

// No file claims more bytes of tensors than it has: bounds what a reader may be talked into allocating.
void check_sizes(const Manifest& manifest, const std::string& where) {
  std::map<std::string, int64_t> left;
  for (const FileRecord& file : manifest.files)
    if (file.name != kStateName) left[file.name] = file.size_bytes;
  for (const auto& [name, tensor] : manifest.tensors) {
    for (const SliceRecord& slice : tensor.slices) {
      const auto found = left.find(slice.file);
      if (found == left.end()) throw_damaged(fmt::format("'{}' lies in unknown file '{}'", name, slice.file), where);
      found->second -= tensor.size_bytes(slice.box);
      if (found->second < 0) throw_damaged(fmt::format("file '{}' is too small for its tensors", slice.file), where);
    }
  }
}

}  // namespace

int64_t Manifest::size_bytes() const {
  int64_t sum = 0;
  for (const FileRecord& file : files) sum += file.size_bytes;
  return sum;
}

bool is_tensor_name(const std::string& name) {
  if (name.empty() || name.size() > 200 || name.find("..") != std::string::npos) return false;
  const std::string framed = "/" + name + "/";
  return is_made_of(name, "._-/") && framed.find("//") == std::string::npos && framed.find("/./") == std::string::npos;
}

std::string dataset_name(const std::string& tensor, const TensorRecord& record, const SliceRecord& slice) {
  const Box& box = slice.box;
  if (box == whole_box(record.shape)) return tensor;
  if (record.whole_rows(box)) return fmt::format("{}@{}", tensor, box.begin_row);
  return fmt::format("{}@{},{}", tensor, box.begin_row, box.begin_column);
}

void check_manifest(const Manifest& manifest, const std::string& where) {
  if (!is_safe_name(manifest.id.stage)) throw_damaged(fmt::format("bad stage name '{}'", manifest.id.stage), where);
  if (!is_safe_name(manifest.id.run_id)) throw_damaged(fmt::format("bad run id '{}'", manifest.id.run_id), where);
  std::set<std::string> names;
  int64_t total = 0;
  for (const FileRecord& file : manifest.files) {
    if (!is_safe_name(file.name) || file.name == kManifestName)
      throw_damaged(fmt::format("bad file name '{}'", file.name), where);
    if (!names.insert(file.name).second) throw_damaged(fmt::format("file '{}' is listed twice", file.name), where);
    if (__builtin_add_overflow(total, file.size_bytes, &total)) throw_damaged("absurd file sizes", where);
  }
  if (!names.count(kStateName)) throw_damaged(fmt::format("'{}' is not listed", kStateName), where);
  for (const auto& [name, tensor] : manifest.tensors) check_cover(name, tensor, where);
  check_sizes(manifest, where);
}

ordered_json file_to_json(const FileRecord& file) {
  return {{"name", file.name}, {"size_bytes", file.size_bytes}, {"xxh3_128", file.digest}};
}

FileRecord file_from_json(const json& object, const std::string& where) {
  FieldReader fields(object, where);
  FileRecord file;
  file.name = fields.text("name");
  file.size_bytes = fields.integer("size_bytes", 0, kMaxBytes);
  file.digest = digest_from(fields, where);
  fields.finish();
  return file;
}

ordered_json tensors_to_json(const std::map<std::string, TensorRecord>& tensors) {
  ordered_json list = ordered_json::array();
  for (const auto& [name, tensor] : tensors) {
    ordered_json shape = ordered_json::array(), slices = ordered_json::array();
    for (int axis = 0; axis < tensor.shape.rank(); ++axis) shape.push_back(tensor.shape[axis]);
    for (const SliceRecord& slice : tensor.slices) {
      ordered_json entry = {{"file", slice.file}, {"begin_row", slice.box.begin_row}, {"rows", slice.box.rows}};
      if (!tensor.whole_rows(slice.box)) {
        entry["begin_column"] = slice.box.begin_column;
        entry["columns"] = slice.box.columns;
      }
      entry["xxh3_128"] = slice.digest;
      slices.push_back(std::move(entry));
    }
    list.push_back({{"name", name}, {"dtype", name_of(tensor.dtype)}, {"shape", shape}, {"slices", slices}});
  }
  return list;
}

std::map<std::string, TensorRecord> tensors_from_json(const json& list, const std::string& where, int64_t version) {
  std::map<std::string, TensorRecord> tensors;
  for (const json& object : list) {
    const std::string name = FieldReader(object, where).text("name");
    if (!is_tensor_name(name)) throw_damaged("a tensor has a forbidden name", where);
    if (!tensors.emplace(name, tensor_from_json(object, name, version, where)).second)
      throw_damaged(fmt::format("tensor '{}' is listed twice", name), where);
  }
  return tensors;
}

std::string manifest_to_text(const Manifest& manifest) {
  ordered_json files = ordered_json::array();
  for (const FileRecord& file : manifest.files) files.push_back(file_to_json(file));
  const ordered_json body = {{"format", kFormatName},
                             {"version", kFormatVersion},
                             {"sequence", manifest.sequence},
                             {"run_id", manifest.id.run_id},
                             {"stage", manifest.id.stage},
                             {"step", manifest.id.step},
                             {"hdf5", manifest.hdf5},
                             {"files", files},
                             {"tensors", tensors_to_json(manifest.tensors)}};
  std::string text = json_text(body, 1);
  text.resize(text.size() - 2);  // the closing "\n}" comes after the seal
  return text + seal_of(text);
}

Manifest manifest_from_text(const std::string& text, const std::string& where, json* document) {
  const size_t seal_bytes = seal_of("").size();
  if (text.size() < seal_bytes) throw_damaged("the manifest is empty or cut off", where);
  const std::string_view body(text.data(), text.size() - seal_bytes);
  if (text.compare(body.size(), seal_bytes, seal_of(body)) != 0)
    throw_damaged("the manifest does not match its own digest", where);
  const json parsed = parse_strict_json(text, where, kMaxDepth);
  FieldReader fields(parsed, where);
  if (fields.text("format") != kFormatName) throw_damaged("this is not a nexus checkpoint", where);
  const int64_t version = fields.integer("version", 0, INT64_MAX);
  if (version < kOldestVersion || version > kFormatVersion)
    throw OtherVersion(ErrorKind::kCheckpoint,
                       fmt::format("checkpoint format version {}, but this nexus reads versions {} to {}", version,
                                   kOldestVersion, kFormatVersion),
                       where, "use the nexus release that wrote it");
  Manifest manifest;
  manifest.sequence = fields.integer("sequence", 1, kMaxBytes);
  manifest.id.run_id = fields.text("run_id");
  manifest.id.stage = fields.text("stage");
  manifest.id.step = fields.integer("step", 0, kMaxBytes);
  manifest.hdf5 = fields.text("hdf5");
  for (const json& file : fields.array("files")) manifest.files.push_back(file_from_json(file, where));
  manifest.tensors = tensors_from_json(fields.array("tensors"), where, version);
  static_cast<void>(fields.text("digest"));
  fields.finish();
  check_manifest(manifest, where);
  if (document != nullptr) *document = parsed;
  return manifest;
}

Manifest read_manifest(const std::string& folder, json* document) {
  const std::string path = folder + "/" + kManifestName;
  if (require_status(path).type() == std::filesystem::file_type::not_found) throw_no_checkpoint(folder);
  std::string text;
  try {
    text = read_text_file(path, kMaxManifestBytes);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kData) throw;
    throw_damaged("the manifest is no regular file of at most 128 MiB", path);
  }
  return manifest_from_text(text, path, document);
}

}  // namespace nexus
