// Files of the safetensors format: eight bytes with the length of a JSON header (little-endian), the header, and the
// tensors' elements, row by row, little-endian.
//
//   {"__metadata__": {"format": "pt"}, "NAME": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}, ...}
//
// Offsets count from the end of the header; the tensors cover the rest of the file exactly once. Whoever wrote a file
// is not trusted: everything is checked before any element is read.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/file_descriptor.h"
#include "tensor/dtype.h"

namespace nexus {

struct SafetensorsTensor {
  std::string name;
  std::string dtype;  // as the format calls it: "F32", "BF16"
  std::vector<int64_t> shape;
  int64_t begin = 0, end = 0;  // bytes, from the end of the header

  bool operator==(const SafetensorsTensor&) const = default;
};

class SafetensorsReader {
 public:
  // Throws ErrorKind::kCheckpoint naming the file and what is wrong with it; kIo where it cannot be read.
  explicit SafetensorsReader(const std::string& path);

  const std::map<std::string, SafetensorsTensor>& tensors() const { return tensors_; }
  // All elements of the tensor of that name, which must be there, as f32: exact for F32, BF16 and F16. Throws
  // kCheckpoint for any other type.
  std::vector<float> read_f32(const std::string& name) const;

 private:
  void read_at(int64_t offset, char* to, int64_t size) const;
  std::string read_header(int64_t file_bytes);

  std::string path_;
  FileDescriptor file_;
  int64_t data_begin_ = 0;
  std::map<std::string, SafetensorsTensor> tensors_;
};

class SafetensorsWriter {
 public:
  // Begins a new file. `tensors` in the order in which their elements will come; f32 or bf16; their offsets are set
  // here. Throws kIo.
  SafetensorsWriter(const std::string& path, DType dtype, std::vector<SafetensorsTensor> tensors);

  // Elements of the next tensor, all at once. Throws kIo.
  void write(const std::vector<float>& elements);
  // After the last one: makes the file durable. Throws kIo.
  void finish();

 private:
  std::string path_;
  DType dtype_;
  std::vector<SafetensorsTensor> tensors_;
  size_t next_ = 0;
  FileDescriptor file_;
};

}  // namespace nexus
