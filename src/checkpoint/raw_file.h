// A file opened for reading at positions, private to this module. HDF5 says where a dataset's bytes lie; they are then
// read without it, in blocks that stay in the processor's cache for the digest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/file_descriptor.h"

namespace nexus {

inline constexpr int64_t kReadBlockBytes = 1 << 20;

class RawFile {
 public:
  explicit RawFile(const std::string& path);  // throws kIo

  const std::string& path() const { return path_; }
  int64_t size_bytes() const;
  // Bytes got: fewer than asked for only at the end of the file. Throws kIo.
  int64_t read_at(int64_t position, void* target, int64_t size_bytes) const;
  // Of the whole file, which should have `size_bytes`. Throws kCheckpoint if it has become shorter, kIo if it has not
  // and ends early all the same.
  std::string digest(int64_t size_bytes) const;

 private:
  std::string path_;
  FileDescriptor file_;
};

// What lies at a path: `not_found`, or its kind. Throws kIo where the system cannot tell.
std::filesystem::file_status require_status(const std::string& path);

}  // namespace nexus
