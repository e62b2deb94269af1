#include "interchange/safetensors.h"

#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "checkpoint/strict_json.h"
#include "core/error.h"
#include "core/files.h"
#include "core/json_text.h"

namespace nexus {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little);

constexpr int64_t kLengthBytes = 8;
constexpr int64_t kMaxHeaderBytes = 100'000'000;  // of the reference implementation
constexpr int kMaxHeaderDepth = 3;
constexpr size_t kMaxRank = 16;

const std::map<std::string, int64_t>& element_bytes() {
  static const std::map<std::string, int64_t> bytes = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
      {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},     {"I64", 8},     {"U64", 8}, {"F64", 8}};
  return bytes;
}

[[noreturn]] void refuse_file(const std::string& what, const std::string& path) {
  throw Error(ErrorKind::kCheckpoint, what, path, "fetch or export the file again");
}

std::string quoted_name(const std::string& name) {
  return json_text(json(name));
}

// Shape and offsets of one tensor, which agree with each other and lie within the data.
SafetensorsTensor tensor_from(const std::string& name, const json& entry, int64_t data_bytes, const std::string& path) {
  FieldReader fields(entry, path);
  SafetensorsTensor tensor{name, fields.text("dtype"), {}, 0, 0};
  const auto element = element_bytes().find(tensor.dtype);
  if (element == element_bytes().end())
    refuse_file(fmt::format("tensor {} has the unknown type {}", quoted_name(name), quoted_name(tensor.dtype)), path);
  const json& shape = fields.array("shape");
  const json& offsets = fields.array("data_offsets");
  fields.finish();
  if (shape.size() > kMaxRank)
    refuse_file(fmt::format("tensor {} has {} axes, more than {}", quoted_name(name), shape.size(), kMaxRank), path);
  int64_t bytes = element->second;
  for (const json& extent : shape) {
    tensor.shape.push_back(strict_integer(extent, 0, INT64_MAX, "shape", path));
    if (__builtin_mul_overflow(bytes, tensor.shape.back(), &bytes))
      refuse_file(fmt::format("tensor {} has a shape beyond all memory, {}", quoted_name(name), json_text(shape)),
                  path);
  }
  if (offsets.size() != 2) refuse_file(fmt::format("tensor {} needs two offsets", quoted_name(name)), path);
  tensor.begin = strict_integer(offsets[0], 0, data_bytes, "data_offsets", path);
  tensor.end = strict_integer(offsets[1], tensor.begin, data_bytes, "data_offsets", path);
  if (tensor.end - tensor.begin != bytes)
    refuse_file(fmt::format("tensor {} has {} bytes and, by type and shape, {}", quoted_name(name),
                            tensor.end - tensor.begin, bytes),
                path);
  return tensor;
}

// Every byte of the data belongs to one tensor.
void require_cover(const std::map<std::string, SafetensorsTensor>& tensors, int64_t data_bytes,
                   const std::string& path) {
  std::vector<const SafetensorsTensor*> order;
  for (const auto& [name, tensor] : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const SafetensorsTensor* a, const SafetensorsTensor* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  int64_t at = 0;
  for (const SafetensorsTensor* tensor : order) {
    if (tensor->begin < at) refuse_file(fmt::format("tensor {} overlaps another one", quoted_name(tensor->name)), path);
    if (tensor->begin > at)
      refuse_file(
          fmt::format("{} bytes before tensor {} belong to none", tensor->begin - at, quoted_name(tensor->name)), path);
    at = tensor->end;
  }
  if (at != data_bytes) refuse_file(fmt::format("{} bytes at the end belong to no tensor", data_bytes - at), path);
}

float from_f16(uint16_t half) {
  const int exponent = half >> 10 & 0x1F;
  const int fraction = half & 0x3FF;
  float magnitude = 0;
  if (exponent == 0x1F)
    magnitude = fraction == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  else if (exponent == 0)
    magnitude = std::ldexp(static_cast<float>(fraction), -24);
  else
    magnitude = std::ldexp(static_cast<float>(fraction + 0x400), exponent - 25);
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

// `bytes` as elements of T, each made into an f32.
template <typename T, typename Convert>
std::vector<float> converted(const std::vector<char>& bytes, Convert convert) {
  std::vector<float> values(bytes.size() / sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) {
    T element;
    std::memcpy(&element, bytes.data() + i * sizeof(T), sizeof(T));
    values[i] = convert(element);
  }
  return values;
}

}  // namespace

SafetensorsReader::SafetensorsReader(const std::string& path) : path_(path), file_(path, O_RDONLY) {
  if (!file_.is_open()) throw_errno("open", path);
  struct stat facts {};
  if (::fstat(file_.get(), &facts) != 0) throw_errno("examine", path);
  if (!S_ISREG(facts.st_mode)) refuse_file("this is no regular file", path);
  const std::string header = read_header(facts.st_size);
  const int64_t data_bytes = facts.st_size - data_begin_;
  try {
    const json document = parse_strict_json(header, path, kMaxHeaderDepth);
    if (!document.is_object()) refuse_file("the header is no JSON object", path);
    for (const auto& [name, entry] : document.items())
      if (name != "__metadata__") tensors_.emplace(name, tensor_from(name, entry, data_bytes, path));
  } catch (const Error& e) {  // the cure of damaged checkpoints is another one
    if (e.kind() != ErrorKind::kCheckpoint) throw;
    refuse_file(e.fact(), path);
  }
  require_cover(tensors_, data_bytes, path);
}

std::string SafetensorsReader::read_header(int64_t file_bytes) {
  if (file_bytes < kLengthBytes) refuse_file(fmt::format("{} bytes are no safetensors file", file_bytes), path_);
  uint64_t length = 0;
  read_at(0, reinterpret_cast<char*>(&length), kLengthBytes);
  if (length > static_cast<uint64_t>(file_bytes - kLengthBytes))
    refuse_file(fmt::format("the header of {} bytes is longer than the file", length), path_);
  if (length > static_cast<uint64_t>(kMaxHeaderBytes))
    refuse_file(fmt::format("the header of {} bytes is longer than {}", length, kMaxHeaderBytes), path_);
  std::string header(length, '\0');
  read_at(kLengthBytes, header.data(), static_cast<int64_t>(length));
  data_begin_ = kLengthBytes + static_cast<int64_t>(length);
  return header;
}

void SafetensorsReader::read_at(int64_t offset, char* to, int64_t size) const {
  if (::lseek(file_.get(), offset, SEEK_SET) < 0) throw_errno("read", path_);
  while (size > 0) {
    const ssize_t got = file_.read(to, static_cast<size_t>(size));
    if (got < 0) throw_errno("read", path_);
    if (got == 0) refuse_file("the file has become shorter", path_);
    to += got;
    size -= got;
  }
}

std::vector<float> SafetensorsReader::read_f32(const std::string& name) const {
  const auto found = tensors_.find(name);
  NX_CHECK(found != tensors_.end(), "no tensor {}", name);
  const SafetensorsTensor& tensor = found->second;
  const bool known = tensor.dtype == "F32" || tensor.dtype == "BF16" || tensor.dtype == "F16";
  if (!known)
    throw Error(ErrorKind::kCheckpoint, fmt::format("tensor {} is {}", quoted_name(name), tensor.dtype), path_,
                "save the model in f32, bf16 or f16");
  std::vector<char> bytes(static_cast<size_t>(tensor.end - tensor.begin));
  read_at(data_begin_ + tensor.begin, bytes.data(), tensor.end - tensor.begin);
  if (tensor.dtype == "F32") return converted<float>(bytes, [](float value) { return value; });
  if (tensor.dtype == "BF16") return converted<Bf16>(bytes, [](Bf16 value) { return static_cast<float>(value); });
  return converted<uint16_t>(bytes, from_f16);
}

SafetensorsWriter::SafetensorsWriter(const std::string& path, DType dtype, std::vector<SafetensorsTensor> tensors)
    : path_(path), dtype_(dtype), tensors_(std::move(tensors)), file_(path, O_WRONLY | O_CREAT | O_EXCL) {
  NX_CHECK(dtype == DType::kF32 || dtype == DType::kBF16, "{}", name_of(dtype));
  if (!file_.is_open()) throw_errno("create", path_);
  nlohmann::ordered_json header{{"__metadata__", {{"format", "pt"}}}};  // transformers asks for it
  int64_t at = 0;
  for (SafetensorsTensor& tensor : tensors_) {
    tensor.dtype = dtype == DType::kF32 ? "F32" : "BF16";
    tensor.begin = at;
    at += size_of(dtype);
    for (const int64_t extent : tensor.shape) at = tensor.begin + (at - tensor.begin) * extent;
    tensor.end = at;
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {tensor.begin, tensor.end}}};
  }
  std::string text = json_text(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // readers map the elements, which shall be aligned
  const auto length = static_cast<uint64_t>(text.size());
  if (!file_.write_all(&length, kLengthBytes) || !file_.write_all(text.data(), text.size()))
    throw_errno("write", path_);
}

void SafetensorsWriter::write(const std::vector<float>& elements) {
  NX_CHECK(next_ < tensors_.size());
  const SafetensorsTensor& tensor = tensors_[next_++];
  NX_CHECK(static_cast<int64_t>(elements.size()) * size_of(dtype_) == tensor.end - tensor.begin, "{}", tensor.name);
  std::vector<Bf16> rounded;
  const void* data = elements.data();
  if (dtype_ == DType::kBF16) {
    rounded.reserve(elements.size());
    for (const float value : elements) rounded.emplace_back(value);
    data = rounded.data();
  }
  if (!file_.write_all(data, static_cast<size_t>(tensor.end - tensor.begin))) throw_errno("write", path_);
}

void SafetensorsWriter::finish() {
  NX_CHECK(next_ == tensors_.size(), "{} of {} tensors are written", next_, tensors_.size());
  if (::fsync(file_.get()) != 0 || !file_.close()) throw_errno("write", path_);
}

}  // namespace nexus
