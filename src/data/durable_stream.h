// A large file written piece by piece and visible only when complete.
//
// The bytes go to PATH.partial; `commit` writes the rest, fsyncs, renames to PATH and fsyncs the folder. Without
// `commit` the destructor removes the partial file. A partial file left behind by a killed process is overwritten by
// the next one; two living writers of one PATH are refused (the partial file is locked). Errors: ErrorKind::kIo.
#pragma once

#include <cstdint>
#include <string>

#include "core/file_descriptor.h"
#include "core/hash.h"

namespace nexus {

class DurableStream {
 public:
  explicit DurableStream(const std::string& path);
  ~DurableStream();
  DurableStream(DurableStream&&) = delete;

  void write(const void* data, size_t size_bytes);
  void commit();

  const std::string& path() const { return path_; }
  int64_t size_bytes() const { return size_bytes_; }
  // XXH3-128 of all bytes written so far.
  std::string digest() const { return hasher_.digest(); }

 private:
  void lock_or_throw();
  void flush();

  std::string path_, partial_, buffer_;
  FileDescriptor file_;
  int64_t size_bytes_ = 0;
  Hasher hasher_;
};

}  // namespace nexus
